// Leaves of logs as an operator exports them, one JSON object a line, held against checkpoints that somebody kept. Who
// holds every leaf needs no proofs: the leaves hash to the checkpoint's root, or they are not that log.
import * as v from 'valibot'
import { equal, utf8 } from './bytes.ts'
import type { Checkpoint } from './checkpoint.ts'
import { SealedError } from './errors.ts'
import { parseCanonical } from './json.ts'
import { leafHash, merkleRoot } from './merkle.ts'
import { check, integer, text } from './schema.ts'
import { type EpochLeaf, laterLeafSchema, type SessionLeaf } from './statement.ts'

const logEntrySchema = v.strictObject({
  index: integer(),
  /** The leaf's exact canonical text. */
  leaf: text(65_536),
  origin: text(128),
})
export type LogEntry = v.InferOutput<typeof logEntrySchema>

/** How far the leaves of one log are vouched for by a checkpoint. */
export interface HeldLog {
  origin: string
  size: number
  held: number
}

/** Reads one line of an export; throws `json.*` or `schema.invalid`. */
export const parseLogEntry = (line: string): LogEntry =>
  check(logEntrySchema, parseCanonical(line), 'log entry', 'schema.invalid')

/** The leaves after the first of each log; throws `receipt.invalid` for one that is neither session nor epoch. */
export const laterLeavesOf = (entries: readonly LogEntry[]): (SessionLeaf | EpochLeaf)[] =>
  entries
    .filter(({ index }) => index > 0)
    .map(({ index, leaf, origin }) =>
      check(laterLeafSchema, parseCanonical(leaf), `leaf ${index} of ${origin}`, 'receipt.invalid'),
    )

export const sessionLeavesOf = (leaves: readonly (SessionLeaf | EpochLeaf)[]): SessionLeaf[] =>
  leaves.filter((leaf) => leaf.kind === 'session')

/** Throws `log.damaged` where a leaf is missing or the leaves are not those of a checkpoint of their log. */
export async function holdEntries(
  entries: readonly LogEntry[],
  checkpoints: readonly Pick<Checkpoint, 'origin' | 'size' | 'root'>[],
): Promise<HeldLog[]> {
  const logs = Map.groupBy(entries, ({ origin }) => origin)
  for (const { origin } of checkpoints)
    if (!logs.has(origin)) throw damaged(origin, 'a checkpoint was given, and no leaf')
  const found: HeldLog[] = []
  for (const [origin, leaves] of logs) {
    for (const [i, { index }] of leaves.entries())
      if (index !== i) throw damaged(origin, `leaf ${i} is missing`)
    let held = 0
    for (const { root, size } of checkpoints.filter((one) => one.origin === origin)) {
      if (leaves.length < size) throw damaged(origin, `${leaves.length} of ${size} leaves are here`)
      const hashes = await Promise.all(
        leaves.slice(0, size).map(({ leaf }) => leafHash(utf8(leaf))),
      )
      if (!equal(await merkleRoot(hashes), root))
        throw damaged(origin, 'these leaves are not those of the checkpoint')
      held = Math.max(held, size)
    }
    found.push({ origin, size: leaves.length, held })
  }
  return found
}

const damaged = (origin: string, what: string) =>
  new SealedError('log.damaged', `${origin}: ${what}`)
