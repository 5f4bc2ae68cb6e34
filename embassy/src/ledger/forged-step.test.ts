// A last step that the TPM has not taken, written by one who has the disk of a stopped machine.
// Mutants: without `ensureAddition` every forgery below is taken; each part of check-addition.ts left out lets its own in.
import { canonicalize } from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { extendChain, type Head, raiseCounter, setHead } from '../store/anchors.ts'
import { openDigest } from '../store/open-sessions.ts'
import { chainOverRows, digestOf, stateOf } from '../store/registry-rows.ts'
import { getMeta, nodesOf, Statements, setMeta } from '../store/rows.ts'
import { LedgerWorld } from '../test-support/ledger-world.ts'
import { root } from './tree.ts'

const A = 'a'.repeat(32)
let world: LedgerWorld
let restore: () => Promise<void>
beforeAll(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
  await world.use([1, 0], `${A}/x`)
  await world.use([1, 0])
  restore = await world.remember()
})
beforeEach(() => restore())
afterAll(() => world.remove())

/** Makes the change, and a step, a link and a chain that agree with it. */
async function forge(change: string, { alsoBefore = false, size = 3 } = {}): Promise<void> {
  await world.stop()
  const db = new Sqlite(world.path)
  const sql = new Statements(db)
  const old = stateOf(sql)
  db.exec(change)
  sql.forgetMeta()
  setMeta(sql, 'registry.chain', chainOverRows(sql))
  const state = stateOf(sql)
  setMeta(sql, 'checkpoint.before', JSON.stringify(alsoBefore ? state : old))
  setMeta(sql, 'checkpoint.state', JSON.stringify(state))
  raiseCounter(sql)
  const head = JSON.parse(getMeta<string>(sql, 'checkpoint.head')!) as Head
  const { id } = sql.get<{ id: number }>('SELECT id FROM logs')!
  setHead(sql, {
    ...head,
    root: root(nodesOf(sql, id), size).toString('hex'),
    size,
    state: digestOf(state).toString('hex'),
  })
  extendChain(sql, { open: openDigest(sql), opened: [], body: canonicalize({ forged: true }) })
  sql.writeMeta()
  db.close()
  await world.restart()
}
const refused = (message: string) =>
  expect.objectContaining({ code: 'state.rollback', message: expect.stringContaining(message) })

test('that takes nothing is made up for, so that the tests below say something', async () => {
  await forge('UPDATE coverage SET sessions = sessions + 1')
  await world.ledger.start()
  expect(await world.meter(`${A}/x`)).toBe(1_000_000)
})

test.each([
  ['a meter', 'UPDATE meters SET millionths = 0'],
  ['all meters', 'DELETE FROM meters'],
  ['the coverage', 'UPDATE coverage SET sessions = 0'],
  ['the registry', 'DELETE FROM signatures'],
  ['a signature', `UPDATE signatures SET vector = x'0000803f00000040'`],
])('may not take from %s', async (_, change) => {
  await forge(change)
  await expect(world.ledger.start()).rejects.toThrow(refused('takes from'))
})

test('may not be added to another state than the TPM has counted', async () => {
  await forge('UPDATE meters SET millionths = 0', { alsoBefore: true })
  await expect(world.ledger.start()).rejects.toThrow(refused('is not what the step before it'))
})

test('may not cut the log', async () => {
  await forge(
    'UPDATE coverage SET sessions = sessions + 1; UPDATE logs SET size = 2, note = NULL; DELETE FROM leaves WHERE idx = 2',
    { size: 2 },
  )
  await expect(world.ledger.start()).rejects.toThrow(refused('does not go on with the log'))
})

test('may not follow another step than the one in the TPM’s chain', async () => {
  await forge('UPDATE meters SET millionths = 0', { alsoBefore: true })
  await world.alter(
    `UPDATE meta SET value = (SELECT value FROM meta WHERE key = 'anchors.said') WHERE key = 'anchors.prior_said'`,
  )
  await expect(world.ledger.start()).rejects.toThrow(refused('the step before the last'))
})
