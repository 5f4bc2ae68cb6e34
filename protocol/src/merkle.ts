// RFC 6962 Merkle trees: hashes, inclusion and consistency proofs (section 2.1), checked as RFC 9162 section 2.1.3
// and 2.1.4 describe.
import { type Bytes, equal, sha256 } from './bytes.ts'

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

export const leafHash = (leaf: Uint8Array): Promise<Bytes> => sha256(LEAF, leaf)
export const nodeHash = (left: Uint8Array, right: Uint8Array): Promise<Bytes> =>
  sha256(NODE, left, right)

/** The largest power of two below `size`. */
export function split(size: number): number {
  let k = 1
  while (2 * k < size) k *= 2
  return k
}

/** Root of a small tree held in memory, as queued challenges form one. */
export async function merkleRoot(hashes: readonly Uint8Array[]): Promise<Bytes> {
  if (hashes.length === 0) return sha256(new Uint8Array(0))
  if (hashes.length === 1) return hashes[0] as Bytes
  const k = split(hashes.length)
  return nodeHash(await merkleRoot(hashes.slice(0, k)), await merkleRoot(hashes.slice(k)))
}

/** Inclusion path of `index` in a small tree held in memory. */
export async function merklePath(hashes: readonly Uint8Array[], index: number): Promise<Bytes[]> {
  if (hashes.length <= 1) return []
  const k = split(hashes.length)
  const [inside, beside] =
    index < k ? [hashes.slice(0, k), hashes.slice(k)] : [hashes.slice(k), hashes.slice(0, k)]
  return [...(await merklePath(inside, index < k ? index : index - k)), await merkleRoot(beside)]
}

/** Root and the inclusion paths of all leaves: one hash a node, where path by path would be one a node and leaf. */
export async function merklePaths(
  hashes: readonly Uint8Array[],
): Promise<{ root: Bytes; paths: Bytes[][] }> {
  if (hashes.length <= 1) return { root: await merkleRoot(hashes), paths: hashes.map(() => []) }
  const k = split(hashes.length)
  const [left, right] = await Promise.all([
    merklePaths(hashes.slice(0, k)),
    merklePaths(hashes.slice(k)),
  ])
  for (const path of left.paths) path.push(right.root)
  for (const path of right.paths) path.push(left.root)
  return {
    root: await nodeHash(left.root, right.root),
    paths: [...left.paths, ...right.paths],
  }
}

/** Root that the path leads to, or undefined when the path has the wrong length for index and size. */
export async function rootFromPath(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Promise<Bytes | undefined> {
  if (!(index >= 0 && index < size)) return undefined
  let fn = index
  let sn = size - 1
  let root = leaf as Bytes
  for (const hash of path) {
    if (sn === 0) return undefined
    if (fn % 2 === 1 || fn === sn) {
      root = await nodeHash(hash, root)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else root = await nodeHash(root, hash)
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 ? root : undefined
}

export async function verifyInclusion(
  root: Uint8Array,
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Promise<boolean> {
  const computed = await rootFromPath(leaf, index, size, path)
  return computed !== undefined && equal(computed, root)
}
