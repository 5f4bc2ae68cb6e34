// An RFC 6962 tree over stored hashes of complete subtrees, hashed synchronously on the store's thread. Append-only:
// nothing here changes a hash once stored.
import { hash } from 'node:crypto'

/** Reads and writes hashes of complete subtrees: level 0 are leaves, node (l, i) covers leaves [i·2^l, (i+1)·2^l). */
export interface NodeStore {
  get(level: number, index: number): Buffer
  put(level: number, index: number, hash: Buffer): void
}

export const sha256 = (...parts: Uint8Array[]): Buffer =>
  hash('sha256', Buffer.concat(parts), 'buffer')
const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** Appends a leaf to a tree of `size` leaves; stores every subtree it completes. */
export function append(nodes: NodeStore, size: number, leaf: Uint8Array): void {
  let current = sha256(LEAF, leaf)
  nodes.put(0, size, current)
  for (let level = 0, index = size; index % 2 === 1; level++) {
    current = sha256(NODE, nodes.get(level, index - 1), current)
    index = (index - 1) / 2
    nodes.put(level + 1, index, current)
  }
}

/** Root over the leaves [start, start + count), which must be a subtree as RFC 6962 cuts them. */
export function subtree(nodes: NodeStore, start: number, count: number): Buffer {
  const level = Math.log2(count)
  if (Number.isInteger(level)) return nodes.get(level, start / count)
  const left = 2 ** Math.floor(level)
  return sha256(NODE, subtree(nodes, start, left), subtree(nodes, start + left, count - left))
}

export const root = (nodes: NodeStore, size: number): Buffer =>
  size === 0 ? sha256() : subtree(nodes, 0, size)

/** Inclusion path (RFC 6962 section 2.1.1), nearest sibling first. */
export function inclusionPath(nodes: NodeStore, index: number, size: number): Buffer[] {
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
