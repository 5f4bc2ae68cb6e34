// What is deleted when it has been kept long enough: texts of leaves, receipts, attestation documents. Never a hash, a
// checkpoint, a cosignature or a meter: the log goes on proving what it proved.
import type { Statements } from './rows.ts'

export interface Pruning {
  /** What was closed before this time goes. */
  beforeMs: number
  /** Digest of the attestation document in use. */
  document: string
  /** Most leaves, and most documents, of one call. */
  limit: number
}

export interface Pruned {
  leaves: number
  documents: number
  /** Whether there may be more. */
  more: boolean
}

/** `log` is the log of this boot, whose leaves may still wait for their receipts. */
export function prune(sql: Statements, of: Pruning, log: number): Pruned {
  const leaves = sql.all<{ log: number; idx: number; session: string }>(
    `SELECT log, idx, session FROM leaves INDEXED BY aging
     WHERE session IS NOT NULL AND closed_ms < ? AND (proven = 1 OR log != ?) ORDER BY closed_ms LIMIT ?`,
    of.beforeMs,
    log,
    of.limit,
  )
  for (const { idx, log, session } of leaves) {
    sql.run('DELETE FROM leaves WHERE log = ? AND idx = ?', log, idx)
    sql.run('UPDATE receipts SET receipt = NULL WHERE session = ?', session)
  }
  const documents = sql.all<{ digest: string }>(
    `SELECT digest FROM documents WHERE kept_ms < ? AND digest != ?
     AND NOT EXISTS (SELECT 1 FROM leaves WHERE document = digest)
     AND NOT EXISTS (SELECT 1 FROM sessions WHERE document = digest) LIMIT ?`,
    of.beforeMs,
    of.document,
    of.limit,
  )
  for (const { digest } of documents) sql.run('DELETE FROM documents WHERE digest = ?', digest)
  return {
    leaves: leaves.length,
    documents: documents.length,
    more: leaves.length === of.limit || documents.length === of.limit,
  }
}
