// A last step that the TPM has not taken is vouched for by nobody: who has the disk of a stopped machine can write one. So
// it is made up for only if it takes nothing from what the step before it stated, and that one is in the TPM's chain.
import { canonicalize } from '@sealed/protocol'
import { root } from '../ledger/tree.ts'
import { altered, checkSaid, type Head, priorHead } from './anchors.ts'
import { chainOverRows, digestOf, type State, stateOf } from './registry-rows.ts'
import { getMeta, nodesOf, type Statements } from './rows.ts'

/** Throws `state.rollback`. */
export function checkAddition(sql: Statements): void {
  const head = checkSaid(sql)
  const prior = priorHead(sql)
  if (!prior || (head && canonicalize({ ...head }) === canonicalize({ ...prior }))) return
  checkLog(sql, prior)
  const before = JSON.parse(getMeta<string>(sql, 'checkpoint.before') ?? 'null') as State | null
  if (!before || digestOf(before).toString('hex') !== prior.state)
    throw altered('what the last step was added to is not what the step before it states')
  if (isLess(sql, before, stateOf(sql)))
    throw altered('the last step takes from meters, coverage or registry')
}

function checkLog(sql: Statements, prior: Head): void {
  const log = sql.get<{ id: number; size: number }>(
    'SELECT id, size FROM logs WHERE origin = ?',
    prior.origin,
  )
  const isThere = log !== undefined && log.size >= prior.size
  if (!isThere || root(nodesOf(sql, log.id), prior.size).toString('hex') !== prior.root)
    throw altered('the last step does not go on with the log of the step before it')
}

function isLess(sql: Statements, before: State, now: State): boolean {
  const meters = new Map(now.meters.map(({ capability, millionths }) => [capability, millionths]))
  const hasLess = before.meters.some(
    ({ capability, millionths }) => !((meters.get(capability) ?? -1) >= millionths),
  )
  const coversLess = Object.entries(before.coverage).some(
    ([name, value]) => !(now.coverage[name as keyof State['coverage']] >= value),
  )
  const { chain, registry_version } = before
  const isRewritten = chainOverRows(sql, registry_version).toString('hex') !== chain
  return hasLess || coversLess || isRewritten
}
