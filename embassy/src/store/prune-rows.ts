// What is deleted when it has been kept long enough: texts of leaves, the checkpoints that their receipts need, attestation
// documents. Never a hash, a log's newest checkpoint, a cosignature or a meter: the log goes on proving what it proved.
import type { Statements } from './rows.ts'

export interface Pruning {
  /** What was closed before this time goes. */
  beforeMs: number
  /** Digest of the attestation document in use. */
  document: string
  /** Most leaves, most checkpoints and most documents of one call. */
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
  const leaves = sql.all<{ log: number; idx: number; session: string; document: string | null }>(
    `SELECT log, idx, session, document FROM leaves INDEXED BY aging
     WHERE session IS NOT NULL AND closed_ms < ?
     AND (document IS NULL OR log != ? OR idx < (SELECT proven FROM logs WHERE id = ?)) ORDER BY closed_ms LIMIT ?`,
    of.beforeMs,
    log,
    log,
    of.limit,
  )
  for (const { document, idx, log, session } of leaves) {
    sql.run('DELETE FROM leaves WHERE log = ? AND idx = ?', log, idx)
    if (document !== null) sql.run('INSERT OR IGNORE INTO pruned (session) VALUES (?)', session)
  }
  const checkpoints = pruneCheckpoints(sql, of.limit, log)
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
    more: [leaves.length, checkpoints, documents.length].includes(of.limit),
  }
}

/** Deletes those that no leaf needs any more: a receipt is under the first that covers its leaf. Returns how many. */
function pruneCheckpoints(sql: Statements, limit: number, log: number): number {
  const oldest = sql.get<{ log: number; idx: number }>(
    'SELECT log, idx FROM leaves WHERE session IS NOT NULL ORDER BY log, idx LIMIT 1',
  ) ?? { log, idx: Number.MAX_SAFE_INTEGER }
  return sql.run(
    `DELETE FROM checkpoints WHERE rowid IN
     (SELECT rowid FROM checkpoints WHERE (log, size) <= (?, ?) ORDER BY log, size LIMIT ?)`,
    oldest.log,
    oldest.idx,
    limit,
  ).changes
}
