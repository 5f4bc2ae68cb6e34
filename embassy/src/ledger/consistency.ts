// Consistency proofs over stored hashes, for witnesses: that a log was only appended to since they last saw it.
import { consistencySubtrees } from '@sealed/protocol'
import { type Nodes, subtree } from './tree.ts'

/** RFC 6962 section 2.1.2, from the first `old` of `size` leaves. */
export const consistencyPath = (nodes: Nodes, old: number, size: number): Buffer[] =>
  consistencySubtrees(old, size).map(({ start, size: count }) => subtree(nodes, start, count))
