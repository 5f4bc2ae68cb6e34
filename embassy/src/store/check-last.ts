// Holds what a database has against what its last step said of it. At a start, in time that grows with the depth of the
// log: of the stored hashes those are read that make up the root; the others are held against it where they are used.
import { SealedError } from '@sealed/protocol'
import { leafHash, root, rootWith } from '../ledger/tree.ts'
import { altered, checkSaid } from './anchors.ts'
import { unproven } from './receipt-rows.ts'
import { stateDigest } from './registry-rows.ts'
import { nodesOf, type Statements } from './rows.ts'

/** Throws `state.rollback`, or `log.damaged` where a hash is gone. */
export function checkLast(sql: Statements): void {
  const head = checkSaid(sql)
  if (!head) return
  const log = sql.get<{ id: number; size: number }>(
    'SELECT id, size FROM logs WHERE origin = ?',
    head.origin,
  )
  if (head.state !== stateDigest(sql).toString('hex'))
    throw altered('meters or registry are not those of the last checkpoint')
  if (log?.size !== head.size) throw altered('the log is not as long as its last checkpoint')
  const nodes = nodesOf(sql, log.id)
  const lead = (actual: Buffer, what: string) => {
    if (actual.toString('hex') !== head.root) throw altered(what)
  }
  lead(root(nodes, log.size), 'the log’s hashes do not lead to its last checkpoint')
  for (const { idx, leaf } of unproven(sql, log.id))
    lead(rootWith(nodes, log.size, idx, leafHash(leaf)), `leaf ${idx} was altered`)
}

/** Throws `log.damaged` where the database's file is not whole: asked of a backup, since it reads all of it. */
export function checkPages(sql: Statements): void {
  const found = sql.get<{ quick_check: string }>('PRAGMA quick_check')
  if (found?.quick_check !== 'ok')
    throw new SealedError('log.damaged', 'the database is damaged: restore another backup')
}
