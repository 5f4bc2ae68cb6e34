import { decodeReceipt, MAX_OPENINGS, randomBytes, replayMeters } from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closingOf, LedgerWorld, OPENING } from '../test-support/ledger-world.ts'
import { MAX_CAPABILITIES } from './registry-rows.ts'
import { extend } from './stamp.ts'

let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
})
afterEach(() => world.remove())

const id = () => Buffer.from(randomBytes(16)).toString('hex')
const session = (nonce: string) => ({
  id: id(),
  nonce,
  statements: extend([], OPENING),
  document: 'd',
})

test('a nonce is taken once, also by two at the same time', async () => {
  const results = await Promise.allSettled(
    [session('n'), session('n'), session('m')].map((one) => world.ledger.open(one)),
  )
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  await expect(world.ledger.open(session('m'))).rejects.toThrow(
    expect.objectContaining({ code: 'envelope.replayed' }),
  )
})

test('a nonce stays taken over a restart', async () => {
  await world.ledger.open(session('n'))
  await world.restart()
  await world.ledger.start()
  await expect(world.ledger.open(session('n'))).rejects.toThrow(
    expect.objectContaining({ code: 'envelope.replayed' }),
  )
})

test('what was open is found after a restart', async () => {
  const { id: left } = await world.open()
  await world.restart()
  expect((await world.store.run('openSessions', undefined)).map((row) => row.id)).toEqual([left])
})

test('an authority reads its own capabilities and no other’s', async () => {
  const [one, other] = ['1'.repeat(32), `1${'1'.repeat(30)}2`]
  await world.use([1, 0], `${one}/x`)
  await world.use([0, 1], `${other}/x`)
  expect(await world.meter(`${one}/x`)).toBe(0)
  const { id: read, statements } = await world.open()
  const end = { kind: 'read', authority: one, salt: new Uint8Array(32) } as const
  const { reading } = await world.ledger.close({
    session: read,
    statements: statements.slice(0, 1),
    end,
  })
  expect(reading).not.toContain(other)
  expect(JSON.parse(reading!).coverage).toMatchObject({
    boots: 1,
    sessions: 2,
    sessions_unmetered: 0,
  })
})

test('the same signature twice is one', async () => {
  await world.use([1, 0], 'a/x')
  await world.use([1, 0], 'a/x')
  const { id: read, statements } = await world.open()
  const end = { kind: 'read', authority: 'a', salt: new Uint8Array(32) } as const
  const { reading } = await world.ledger.close({
    session: read,
    statements: statements.slice(0, 1),
    end,
  })
  expect(JSON.parse(reading!).coverage.references).toMatchObject([{ count: 1 }])
})

test('the registry is bounded, and a refused write leaves nothing', async () => {
  for (let i = 0; i < MAX_CAPABILITIES; i++) await world.use([1, i], `${'a'.repeat(32)}/${i}`)
  await expect(world.use([1, -1], `${'a'.repeat(32)}/more`)).rejects.toThrow(
    expect.objectContaining({ code: 'registry.full' }),
  )
  expect(await world.meter(`${'a'.repeat(32)}/more`)).toBeUndefined()
})

test('a reading opens every change of its authority’s, in pages, and their sum over the log is the meter', async () => {
  const authority = 'a'.repeat(32)
  await world.use([3, 4], `${authority}/x`)
  await world.use([1, 0], `${'b'.repeat(32)}/other`)
  const closed = []
  for (let i = 0; i < 5; i++) closed.push(await world.use([4, 3]))
  const leaves = closed.map(({ receipt }) => decodeReceipt(receipt).leaf)
  const whole = await world.read(authority)
  const { sums, changes, opened } = await replayMeters(leaves, whole.openings)
  expect([...sums]).toEqual(
    whole.meters.map(({ capability, millionths }) => [capability, millionths]),
  )
  expect([changes, opened]).toEqual([10, 5])
  expect(whole.next).toBeUndefined()
})

test('a reading that does not hold all openings says where the next goes on', async () => {
  const authority = 'a'.repeat(32)
  await world.use([3, 4], `${authority}/x`)
  await world.stop()
  const db = new Sqlite(world.path)
  const insert = db.prepare(
    'INSERT INTO changes (session, capability, millionths, salt) VALUES (?, ?, 1, zeroblob(32))',
  )
  db.transaction(() => {
    for (let i = 0; i < MAX_OPENINGS + 3; i++)
      insert.run(i.toString(16).padStart(32, '0'), `${authority}/x`)
  })()
  db.close()
  await world.restart()
  await world.ledger.start()
  const first = await world.read(authority)
  const second = await world.read(authority, first.next)
  expect([first.openings.length, second.openings.length, second.next]).toEqual([
    MAX_OPENINGS,
    3,
    undefined,
  ])
  expect(second.openings.at(-1)!.session).toBe((MAX_OPENINGS + 2).toString(16).padStart(32, '0'))
})

test('a session’s id is used once: while it is open, and after', async () => {
  const { id: used, statements } = await world.open()
  const again = () => world.open(used)
  const taken = expect.objectContaining({ code: 'request.invalid' })
  await expect(again()).rejects.toThrow(taken)
  await world.ledger.close(closingOf(used, statements, [1, 0]))
  await world.ledger.written()
  await expect(again()).rejects.toThrow(taken)
  await world.use([1, 0])
})
