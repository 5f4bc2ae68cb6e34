// Weights volumes, as a workload's file names them: read-only file systems beside the image, each by the root hash of its
// dm-verity tree alone. What a root hash stands for is fixed here, so that it names one content and no other.
import * as v from 'valibot'
import { type Bytes, concat, fromHex, sha256, sha256Hex, utf8 } from './bytes.ts'
import { BLOCK } from './image/verity.ts'
import { digest, text } from './schema.ts'

const PART = '\\.?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}'
const PATH = new RegExp(`^(?:/${PART}){1,8}$`)
/** Where programs lie, and what the machine or the embassy puts there itself. */
const TAKEN =
  /^\/(?:activations|bin|boot|dev|etc|lib|lib32|lib64|libx32|proc|run|sbin|sys|tmp|usr)(?:\/|$)/

export const mountPath = v.pipe(
  text(255),
  v.regex(PATH, 'must be an absolute path of at most 8 parts [A-Za-z0-9_.-], none of them . or ..'),
  v.check(
    (path) => !TAKEN.test(path),
    'must lie outside of where programs are (/bin, /etc, /lib…, /sbin, /usr) and of what is put there already (/activations, /dev, /proc, /run, /sys, /tmp)',
  ),
)

const within = (outer: string, inner: string) => `${inner}/`.startsWith(`${outer}/`)
const apart = (paths: readonly string[]) =>
  paths.every((path, i) => paths.every((other, j) => i === j || !within(path, other)))

export const weightsSchema = v.pipe(
  v.array(v.strictObject({ path: mountPath, root_hash: digest })),
  v.minLength(1),
  v.maxLength(8),
  v.check((volumes) => apart(volumes.map(({ path }) => path)), 'no path may lie within another'),
  v.check(
    (volumes) => new Set(volumes.map(({ root_hash }) => root_hash)).size === volumes.length,
    'each volume stands once',
  ),
)
export type Weights = v.InferOutput<typeof weightsSchema>

/** Hashes in a block of the tree. */
const FAN = BLOCK / 32
/** Over a single block the kernel makes no tree. */
const LEAST_BLOCKS = 2
/** As the file system counts its blocks. */
const MOST_BLOCKS = 2 ** 32 - 1

/** Blocks of the hash tree over so many blocks of data. */
export function treeBlocks(blocks: number): number {
  let sum = 0
  for (let level = blocks; level > 1; sum += level) level = Math.ceil(level / FAN)
  return sum
}

/** How many blocks of a volume of `bytes` are data; undefined where no volume has that size. */
export function dataBlocks(bytes: number): number | undefined {
  const all = bytes / BLOCK
  let [low, high] = [LEAST_BLOCKS, MOST_BLOCKS]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (middle + treeBlocks(middle) < all) low = middle + 1
    else high = middle
  }
  return low + treeBlocks(low) === all ? low : undefined
}

/**
 * The salt of a volume's tree. The number of blocks is in it: a tree's root alone does not say how deep the tree is, and
 * who makes a volume could have blocks of data pass for blocks of hashes, so that one root named two contents.
 */
export function weightsSalt(blocks: number): Promise<Bytes> {
  const count = new Uint8Array(8)
  new DataView(count.buffer).setBigUint64(0, BigInt(blocks))
  return sha256(utf8('sealed/weights/v1\0'), count)
}

/** The model that a workload computes with: its image, and what is mounted into it. */
export function modelDigest(image: string, roots: readonly string[] = []): Promise<string> {
  if (roots.length === 0) return Promise.resolve(image)
  return sha256Hex(
    concat(utf8('sealed/model/v1\0'), ...[image, ...roots].map((hex) => fromHex(hex))),
  )
}
