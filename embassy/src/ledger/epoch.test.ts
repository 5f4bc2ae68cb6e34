// Epochs in the ledger: begun with a session, ended once, after all their sessions, and pruned with them.
import { checkEpochs, type EpochLeaf, type SessionLeaf } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Draft, extend } from '../store/stamp.ts'
import { closingOf, LedgerWorld, OPENING } from '../test-support/ledger-world.ts'

const EPOCH = 'ef'.repeat(16)
const ENDED: Draft = { type: 'epoch.ended', how: 'destroyed', reason: 'replica.lost' }
const [received, enforced, revealed] = OPENING as [Draft, Draft, Draft]
const { generation, image, replica, ...sealing } = enforced
const seal = { dropped_packets: 0, rejected_packets: 0, ruleset_digest: sealing.ruleset_digest }
const BEGUN: Draft = { type: 'epoch.begun', ...seal, generation, image, policy: 'epoch', replica }

let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
})
afterEach(() => world.remove())

const begun = () => extend([], [BEGUN])
/** Opens a session of the epoch, the first of it or not. */
async function open(id: string, of = begun()) {
  const statements = extend(
    [],
    [received, { ...enforced, epoch: EPOCH, policy: 'epoch' }, revealed],
  )
  const document = 'ab'.repeat(32)
  await world.ledger.open({ id, statements, document, epoch: { id: EPOCH, statements: of } })
  return statements
}
const abort: Draft = {
  type: 'session.aborted',
  at: 'revealed',
  output_bytes: 0,
  reason: 'replica.lost',
}
const close = (session: string, statements: Awaited<ReturnType<typeof open>>) =>
  world.ledger.close({ session, statements, end: { kind: 'abort', abort } })
const later = async () => {
  const rows = await world.store.runLazy('entries', { after: { log: 0, idx: 0 }, limit: 100 })
  const leaves = rows.map(({ leaf }) => JSON.parse(leaf) as SessionLeaf | EpochLeaf)
  return leaves.filter(({ kind }) => (kind as string) !== 'boot')
}
const [A, B] = ['aa'.repeat(16), 'bb'.repeat(16)]

test('an epoch ends once, and not while a session of it is open', async () => {
  const of = begun()
  const [first, second] = [await open(A, of), await open(B, of)]
  await close(A, first)
  await expect(world.ledger.end(EPOCH, of, [ENDED])).rejects.toMatchObject({
    code: 'embassy.unavailable',
  })
  await close(B, second)
  await world.ledger.end(EPOCH, of, [ENDED])
  await expect(world.ledger.end(EPOCH, of, [ENDED])).rejects.toMatchObject({
    code: 'session.aborted',
  })
  const kinds = (await later()).map(({ kind }) => kind)
  expect(kinds).toEqual(['session', 'session', 'epoch'])
  expect(await world.store.run('openSessions', undefined)).toEqual([])
})

test('it is covered by a checkpoint, and has no receipt', async () => {
  const of = begun()
  await close(A, await open(A, of))
  await world.ledger.end(EPOCH, of, [ENDED])
  await world.ledger.written()
  while ((await world.store.runLazy('newestCheckpoint', world.origin))!.size < 3)
    await world.ledger.written()
  expect(await world.store.runLazy('receipt', EPOCH)).toBeUndefined()
  expect(await world.store.runLazy('unproven', undefined)).toBe(false)
})

test('one that is not there does not end', async () => {
  await expect(world.ledger.end(EPOCH, begun(), [ENDED])).rejects.toMatchObject({
    code: 'session.aborted',
  })
})

test('who has the disk neither forgets an open epoch nor begins another', async () => {
  await open(A)
  for (const sql of [
    `DELETE FROM sessions WHERE id = '${EPOCH}'`,
    `UPDATE sessions SET id = '${B}' WHERE id = '${EPOCH}'`,
  ]) {
    const back = await world.remember()
    await world.alter(sql)
    await expect(world.ledger.start()).rejects.toMatchObject({ code: 'state.rollback' })
    await back()
    await world.ledger.start()
  }
})

test('what a step began that the TPM never took is forgotten, the epoch too', async () => {
  world.tpm.failAt = 0
  await expect(open(A)).rejects.toThrow('proven')
  world.tpm.failAt = Number.POSITIVE_INFINITY
  await world.restart()
  await world.ledger.start()
  expect(await world.store.run('openSessions', undefined)).toEqual([])
})

test('an epoch of an earlier boot is ended in the log of the next', async () => {
  const of = begun()
  const statements = await open(A, of)
  await world.reboot()
  await world.ledger.start()
  await close(A, statements)
  await world.ledger.end(EPOCH, of, [{ ...ENDED, reason: 'embassy.restarted' }])
  expect(checkEpochs(await later())).toEqual({ ended: 1, open: [] })
})

test('its text goes when that of its sessions does', async () => {
  const of = begun()
  await close(A, await open(A, of))
  await world.ledger.end(EPOCH, of, [ENDED])
  await world.use([1, 0])
  await world.store.runLazy('prune', {
    beforeMs: Date.now() + 1_000,
    document: 'x',
    limit: 10,
  })
  expect(await later()).toEqual([])
  expect(await world.store.runLazy('pruned', A)).toBe(true)
  expect(await world.store.runLazy('pruned', EPOCH)).toBe(false)
})

test('a clock that starts anew falls behind no statement', () => {
  const [first] = begun()
  const ahead = { ...first!, mono_us: '99999999999999999999', utc_ms: 8_000_000_000_000 }
  const [, second] = extend([ahead], [ENDED])
  expect(second).toMatchObject({ mono_us: ahead.mono_us, utc_ms: ahead.utc_ms, seq: 1 })
  expect(closingOf(A, [ahead], [1, 0]).statements[1]!.mono_us).toBe(ahead.mono_us)
})
