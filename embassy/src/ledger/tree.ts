// An RFC 6962 tree over stored hashes of complete subtrees, hashed synchronously on the store's thread. Append-only:
// nothing here changes a hash once stored.
import { hash } from 'node:crypto'

export type Nodes = Pick<NodeStore, 'get'>

/** Reads and writes hashes of complete subtrees: level 0 are leaves, node (l, i) covers leaves [i·2^l, (i+1)·2^l). */
export interface NodeStore {
  get(level: number, index: number): Buffer
  put(level: number, index: number, hash: Buffer): void
}

export const sha256 = (...parts: Uint8Array[]): Buffer =>
  hash('sha256', Buffer.concat(parts), 'buffer')
const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

export const leafHash = (leaf: string | Uint8Array): Buffer =>
  sha256(LEAF, typeof leaf === 'string' ? Buffer.from(leaf) : leaf)

/** Appends a leaf to a tree of `size` leaves; stores every subtree it completes. */
export function append(nodes: NodeStore, size: number, leaf: Uint8Array): void {
  let current = leafHash(leaf)
  nodes.put(0, size, current)
  for (let level = 0, index = size; index % 2 === 1; level++) {
    current = sha256(NODE, nodes.get(level, index - 1), current)
    index = (index - 1) / 2
    nodes.put(level + 1, index, current)
  }
}

/** Root over the leaves [start, start + count), which must be a subtree as RFC 6962 cuts them. */
export function subtree(nodes: Nodes, start: number, count: number): Buffer {
  const level = Math.log2(count)
  if (Number.isInteger(level)) return nodes.get(level, start / count)
  const left = 2 ** Math.floor(level)
  return sha256(NODE, subtree(nodes, start, left), subtree(nodes, start + left, count - left))
}

export const root = (nodes: Nodes, size: number): Buffer =>
  size === 0 ? sha256() : subtree(nodes, 0, size)

/** Inclusion path (RFC 6962 section 2.1.1), nearest sibling first. */
export function inclusionPath(nodes: Nodes, index: number, size: number): Buffer[] {
  const path: Buffer[] = []
  let start = 0
  for (let count = size; count > 1; ) {
    const left = 2 ** Math.ceil(Math.log2(count) - 1)
    if (index < start + left) {
      path.push(subtree(nodes, start + left, count - left))
      count = left
    } else {
      path.push(subtree(nodes, start, left))
      start += left
      count -= left
    }
  }
  return path.reverse()
}

/** The complete subtrees that `hashes` make side by side, the largest first: level above theirs, offset, hash. */
export function subtreesOf(hashes: readonly Buffer[]): [level: number, at: number, Buffer][] {
  const out: [number, number, Buffer][] = []
  for (let at = 0; at < hashes.length; ) {
    const level = Math.floor(Math.log2(hashes.length - at))
    let row = hashes.slice(at, at + 2 ** level)
    while (row.length > 1)
      row = row.flatMap((left, i) => (i % 2 === 0 ? [sha256(NODE, left, row[i + 1]!)] : []))
    out.push([level, at, row[0]!])
    at += 2 ** level
  }
  return out
}

/** The root over `size` leaves that stored hashes give when node (level, index) is `hash`, which it must complete. */
export function rootWith(
  nodes: Nodes,
  size: number,
  index: number,
  hash: Buffer,
  level = 0,
): Buffer {
  const [from, to] = [index * 2 ** level, (index + 1) * 2 ** level]
  const over = (start: number, count: number): Buffer => {
    if (start === from && start + count === to) return hash
    if (from < start || to > start + count) return subtree(nodes, start, count)
    const left = 2 ** Math.ceil(Math.log2(count) - 1)
    return sha256(NODE, over(start, left), over(start + left, count - left))
  }
  return over(0, size)
}

/** Gives out a hash only where it leads to `expected`, the root over `size` leaves; else throws what `damaged` makes. */
export const provenNodes = (
  nodes: Nodes,
  size: number,
  expected: Uint8Array,
  damaged: (what: string) => Error,
): Nodes => ({
  get(level, index) {
    const hash = nodes.get(level, index)
    if (!rootWith(nodes, size, index, hash, level).equals(expected))
      throw damaged(`node ${level}/${index} does not lead to the checkpoint`)
    return hash
  },
})
