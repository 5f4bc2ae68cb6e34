// Which subtrees make up a proof, and how two roots are held against one another (RFC 6962 section 2.1.2, RFC 9162
// section 2.1.4). The lists of subtrees are arithmetic only, so that a tree in memory, in a database or in tiles proves
// the same thing with the same code.
import { type Bytes, equal, sha256 } from './bytes.ts'
import { merkleRoot, nodeHash, split } from './merkle.ts'

/** The leaves [start, start + size), cut as RFC 6962 cuts a tree. */
export interface Subtree {
  start: number
  size: number
}

/** Subtrees whose roots are the inclusion path of leaf `index`, nearest sibling first. */
export function inclusionSubtrees(index: number, size: number): Subtree[] {
  const path: Subtree[] = []
  let start = 0
  for (let count = size; count > 1; ) {
    const left = split(count)
    if (index < start + left) {
      path.push({ start: start + left, size: count - left })
      count = left
    } else {
      path.push({ start, size: left })
      start += left
      count -= left
    }
  }
  return path.reverse()
}

/** Subtrees whose roots are the proof that the first `old` of `size` leaves are a tree that was only appended to. */
export function consistencySubtrees(old: number, size: number): Subtree[] {
  if (old === 0 || old === size) return []
  const path: Subtree[] = []
  let start = 0
  let count = size
  while (old !== start + count) {
    const left = split(count)
    if (old <= start + left) {
      path.push({ start: start + left, size: count - left })
      count = left
    } else {
      path.push({ start, size: left })
      start += left
      count -= left
    }
  }
  // A left subtree that the old tree is whole is known to the verifier: its root is the old root.
  if (start > 0) path.push({ start, size: count })
  return path.reverse()
}

/** Consistency proof of a small tree held in memory. */
export const merkleConsistency = (hashes: readonly Uint8Array[], old: number): Promise<Bytes[]> =>
  Promise.all(
    consistencySubtrees(old, hashes.length).map(({ start, size }) =>
      merkleRoot(hashes.slice(start, start + size)),
    ),
  )

/** One of two trees, as a checkpoint names it. */
export interface TreeHead {
  size: number
  root: Uint8Array
}

/** Whether `proof` shows that `newer` is `older` with leaves appended (RFC 9162 section 2.1.4.2). */
export async function verifyConsistency(
  older: TreeHead,
  newer: TreeHead,
  proof: readonly Uint8Array[],
): Promise<boolean> {
  const { size: first } = older
  const { size: second } = newer
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(second)) return false
  if (first < 0 || first > second) return false
  if (first === 0 && !equal(older.root, await sha256(new Uint8Array(0)))) return false
  if (first === second) return proof.length === 0 && equal(older.root, newer.root)
  if (first === 0) return proof.length === 0
  const isWhole = 2 ** Math.floor(Math.log2(first)) === first
  const [seed, ...rest] = isWhole ? [older.root, ...proof] : proof
  if (seed === undefined || proof.length === 0) return false
  let fn = first - 1
  let sn = second - 1
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)]
  let fr = seed as Bytes
  let sr = seed as Bytes
  for (const hash of rest) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      fr = await nodeHash(hash, fr)
      sr = await nodeHash(hash, sr)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else sr = await nodeHash(sr, hash)
    ;[fn, sn] = [half(fn), half(sn)]
  }
  return sn === 0 && equal(fr, older.root) && equal(sr, newer.root)
}

const half = (n: number): number => Math.floor(n / 2)
