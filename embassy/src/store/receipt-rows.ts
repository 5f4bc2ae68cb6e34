// Receipts as the database has them: a session's leaf, the first checkpoint that covers it, and the hashes between. No
// receipt is stored as a text; each is made again, to the byte, when somebody asks for it.
import { parseCheckpointBody, parseNote, SealedError } from '@sealed/protocol'
import { receiptFor } from '../ledger/receipts.ts'
import { inclusionPath, leafHash, provenNodes, rootWith } from '../ledger/tree.ts'
import { nodesOf, type Statements } from './rows.ts'
import type { Kept } from './step.ts'

/** A session's leaf and its place; a leaf of an epoch, or of a boot, is none. */
interface SessionRow {
  log: number
  idx: number
  leaf: string
  document: string
}

interface CheckpointRow {
  size: number
  note: string
  attest: Buffer | null
  signature: Buffer | null
}

export const damaged = (what: string) =>
  new SealedError('log.damaged', `${what}: the database of this machine was altered or is broken`)

export const headOf = (note: string) => parseCheckpointBody(parseNote(note).body)

export const sessionRow = (sql: Statements, session: string): SessionRow | undefined =>
  sql.get(
    'SELECT log, idx, leaf, document FROM leaves WHERE session = ? AND document IS NOT NULL',
    session,
  )

/** Keeps a checkpoint of a log. Of two that cover the same leaves the first made their receipts. */
export function keepCheckpoint(sql: Statements, log: number, { note, quote, size }: Kept): void {
  sql.run(
    'INSERT OR IGNORE INTO checkpoints (log, size, note, attest, signature) VALUES (?, ?, ?, ?, ?)',
    log,
    size,
    note,
    quote?.attest ?? null,
    quote?.signature ?? null,
  )
  const newest = 'UPDATE logs SET note = ?, proven = ? WHERE id = ? AND proven <= ?'
  sql.run(newest, note, size, log, size)
}

/**
 * Leaves of sessions that no kept checkpoint covers: they wait for their receipts. A bare parameter would be compared with
 * the partial indexes of the table, and the statement prepared anew whenever one is bound.
 */
export const unproven = (
  sql: Statements,
  log: number,
): (Omit<SessionRow, 'log'> & { session: string })[] =>
  sql.all(
    `SELECT idx, leaf, session, document FROM leaves
     WHERE log = CAST(? AS INTEGER) AND idx >= (SELECT proven FROM logs WHERE id = ?) AND document IS NOT NULL ORDER BY idx`,
    log,
    log,
  )

/**
 * A session's receipt, base64url; undefined where it has none yet, or was never here. Throws `log.damaged` where leaf and
 * hashes do not lead to the checkpoint.
 */
export function receiptOf(sql: Statements, session: string): string | undefined {
  const row = sessionRow(sql, session)
  if (!row) return undefined
  const { document, idx, leaf, log } = row
  const checkpoint = sql.get<CheckpointRow>(
    'SELECT size, note, attest, signature FROM checkpoints WHERE log = ? AND size > ? ORDER BY size LIMIT 1',
    log,
    idx,
  )
  if (!checkpoint) return undefined
  const { attest, note, signature, size } = checkpoint
  const { root } = headOf(note)
  const stored = nodesOf(sql, log)
  if (!rootWith(stored, size, idx, leafHash(leaf)).equals(root))
    throw damaged(`leaf ${idx} does not lead to its checkpoint`)
  const nodes = provenNodes(stored, size, root, damaged)
  const path = inclusionPath(nodes, idx, size).map((node) => node.toString('base64url'))
  const quote = attest && signature ? { attest, signature } : undefined
  return receiptFor({ document, index: idx, leaf, path }, { note, ...(quote && { quote }) })
}
