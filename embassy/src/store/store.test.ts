import { randomBytes } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LedgerWorld, OPENING } from '../test-support/ledger-world.ts'
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
    egressOpenMs: 0,
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
    egressOpenMs: 0,
  })
  expect(JSON.parse(reading!).coverage.references).toMatchObject([{ count: 1 }])
})

test('the registry is bounded, and a refused write leaves nothing', async () => {
  for (let i = 0; i < MAX_CAPABILITIES; i++) await world.use([1, i], `a/${i}`)
  await expect(world.use([1, -1], 'a/more')).rejects.toThrow(
    expect.objectContaining({ code: 'registry.full' }),
  )
  expect(await world.meter('a/more')).toBeUndefined()
})
