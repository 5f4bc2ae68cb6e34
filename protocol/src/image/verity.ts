// The hash tree of dm-verity (format 1, SHA-256, blocks of 4096 bytes): recomputed over a file system's blocks, up to the
// root hash that was measured. A tree that lies on a disk is not looked at: it is only a cache of this.
import { type Bytes, sha256 } from '../bytes.ts'

export const BLOCK = 4096
const HASH = 32
const AT_ONCE = 256

/** Answers with block `index` of what is verified. */
export type ReadBlock = (index: number) => Promise<Uint8Array>

export interface HashTree {
  root: Bytes
  /** In the order in which the kernel reads them behind the data: from the one block at the top down. */
  levels: Uint8Array[]
}

/** Of two blocks or more: over a single one the kernel makes no tree. */
export async function verityTree(
  readBlock: ReadBlock,
  blocks: number,
  salt: Uint8Array,
): Promise<HashTree> {
  const levels = [await hashAll(readBlock, blocks, salt)]
  while (levels[0]!.length > BLOCK) {
    const below = levels[0]!
    const next = (index: number) =>
      Promise.resolve(below.subarray(index * BLOCK, (index + 1) * BLOCK))
    levels.unshift(await hashAll(next, below.length / BLOCK, salt))
  }
  return { root: await sha256(salt, levels[0]!), levels }
}

export const verityRootHash = async (
  readBlock: ReadBlock,
  blocks: number,
  salt: Uint8Array,
): Promise<Bytes> => (await verityTree(readBlock, blocks, salt)).root

/** The hashes of all blocks, filled up with zeros to whole blocks. */
async function hashAll(
  readBlock: ReadBlock,
  blocks: number,
  salt: Uint8Array,
): Promise<Uint8Array> {
  const hashes = new Uint8Array(Math.ceil((blocks * HASH) / BLOCK) * BLOCK)
  for (let from = 0; from < blocks; from += AT_ONCE) {
    const indices = Array.from({ length: Math.min(AT_ONCE, blocks - from) }, (_, i) => from + i)
    const digests = await Promise.all(indices.map(async (i) => sha256(salt, await readBlock(i))))
    for (const [i, digest] of digests.entries()) hashes.set(digest, (from + i) * HASH)
  }
  return hashes
}
