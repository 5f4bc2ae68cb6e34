// Seal policy `permanent`: a replica is one client's, is never unsealed again, and is destroyed at its end.
// Mutants, each red here: any tenant may have any replica, a tenant that is not kept when a waiter is given a place, a new
// replica while the tenant's own has room, the caller for the tenant, `released` at the end, the plain door let in, a
// reason given where the end was the plan, all free places counted for whoever comes.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkEpochs, checkGrammar, decodeReceipt, type Statement } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EmbassyWorld, newMachine } from '../test-support/embassy-world.ts'
import { EnvelopeClient } from '../test-support/envelope-client.ts'
import { FakeTpm } from '../test-support/fake-tpm.ts'

let directory: string
let machine: EmbassyWorld['machine']
let world: EmbassyWorld
const released: string[] = []

async function start(idleMs: number): Promise<void> {
  world = new EmbassyWorld(machine, undefined, 'required', {
    epoch: { idle_ms: idleMs, max_ms: 60_000, sessions: 2 },
    policy: 'permanent',
  })
  world.seal.onRelease = (link) => void released.push(link.workloadAddress4)
  await world.start()
}
beforeEach(async () => {
  released.length = 0
  directory = mkdtempSync(join(tmpdir(), 'sealed-permanent-'))
  machine = await newMachine(directory, new FakeTpm())
  await start(60_000)
})
afterEach(async () => {
  await world.stop()
  rmSync(directory, { recursive: true })
})

const secret = (of: number) => new Uint8Array(32).fill(of)
const client = (of: number) => new EnvelopeClient(world, secret(of))
function sealOf(receipt: string | undefined) {
  const { statements } = decodeReceipt(receipt!).leaf
  checkGrammar(statements)
  return statements[1] as Extract<Statement, { type: 'seal.enforced' | 'seal.joined' }>
}
const seatOf = (receipt: string | undefined) => {
  const { replica, generation } = sealOf(receipt)
  return `${replica}-${generation}`
}

test('a client comes back to its replica, and nobody else comes in', async () => {
  const [first, other] = [await client(1).use([1, 0]), await client(2).use([0, 1])]
  expect(seatOf(other.receipt)).not.toBe(seatOf(first.receipt))
  const again = [await client(1).use([1, 0]), await client(2).use([1, 0])]
  expect(again.map(({ receipt }) => seatOf(receipt))).toEqual(
    [first, other].map(({ receipt }) => seatOf(receipt)),
  )
  expect(sealOf(again[0]!.receipt)).toMatchObject({
    type: 'seal.joined',
    policy: 'permanent',
    tenants: 1,
  })
})

test('a third waits until one of them is gone, whatever is free', async () => {
  await client(1).use([1, 0])
  await client(2).use([1, 0])
  expect(world.fleet.pool.free).toBe(4)
  const third = client(3).use([1, 0])
  await vi.waitUntil(() => world.fleet.pool.waiting === 1)
  const back = await client(1).use([1, 0])
  expect(world.fleet.pool.waiting).toBe(1)
  const [replica, generation] = seatOf(back.receipt).split('-').map(Number)
  const { epoch } = [...world.fleet.replicas].find(({ index }) => index === replica)!
  epoch!.drain()
  expect(seatOf((await third).receipt)).toBe(`${replica}-${generation! + 1}`)
  // Whoever waited has it for good.
  const fourth = client(4).use([1, 0])
  await vi.waitUntil(() => world.fleet.pool.waiting === 1)
  const own = await client(3).use([1, 0])
  expect(seatOf(own.receipt)).toBe(`${replica}-${generation! + 1}`)
  const refused = expect(fourth).rejects.toThrow('replica.unavailable')
  await world.stop()
  await refused
  await start(60_000)
})

test('it is not let go when its client has left, and then destroyed; the log says so', async () => {
  await world.stop()
  await start(20)
  const [births, before] = [world.containers.running.size, released.length]
  const { receipt } = await client(1).use([1, 0])
  const { epoch } = sealOf(receipt)
  const isEnded = () => world.later().find((leaf) => leaf.kind === 'epoch')
  const leaf = await vi.waitUntil(isEnded, { timeout: 20_000 })
  expect(leaf).toMatchObject({ epoch })
  expect(leaf.statements.at(-1)).toMatchObject({ type: 'epoch.ended', how: 'destroyed' })
  expect(leaf.statements.at(-1)).not.toHaveProperty('reason')
  expect(checkEpochs(world.later())).toEqual({ ended: 1, open: [] })
  await vi.waitUntil(() => world.containers.running.size === births && world.fleet.ready === 2)
  // What was released since then is the replica that took its place.
  const seat = seatOf(receipt)
  expect(released.slice(before)).not.toContain(seat)
})

test('places that are another client’s let nobody more into the queue', async () => {
  for (const of of [1, 2]) await client(of).use([1, 0])
  const { pool } = world.fleet
  expect(pool.free).toBe(4)
  // As many as `limits.queue` says.
  const waiting = Array.from({ length: 10 }, (_, i) => client(10 + i).use([1, 0]))
  for (const one of waiting) one.catch(() => {})
  await vi.waitUntil(() => pool.waiting === waiting.length)
  await expect(client(99).use([1, 0])).rejects.toMatchObject({ code: 'queue.full' })
  await client(1).use([1, 0])
})

test('two API keys of one client are one tenant', async () => {
  const tenant = 'ab'.repeat(32)
  const replica = await world.fleet.pool.acquire(1_000, new AbortController().signal, tenant)
  const entering = ['x', 'y'].map((caller) => ({ caller, id: caller.repeat(32), tenant }))
  for (const one of entering) await world.fleet.enter(replica, one)
  const { company } = await world.fleet.enter(replica, { ...entering[0]!, id: 'z'.repeat(32) })
  expect(company).toEqual({ sessions_overlapping: 2, tenants: 1 })
})

test('a plain request has no secret to be known by', async () => {
  await expect(world.begin()).rejects.toMatchObject({ code: 'request.unsupported' })
})
