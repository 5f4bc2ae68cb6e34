// Sessions that share a sealed epoch of a replica, as the embassy runs them: one seal, each its own receipt, nobody
// harmed by how another ends.
// Mutants, each red here: HARMLESS empty, `doubt` or its `drain()` left out, no `onLost`, the end of an epoch that does not
// look at its size, `#drain` without `withdraw`, no `check` before a late join, `sealed` not awaited by those that join,
// no probe between epochs, `clear` left out or done before each session, `name.includes(session)` and `discard` dropped
// in sweep.ts, `egress_open_ms` for everybody, the time of a reading taken once it is there, `seal.released` in an epoch,
// a debt (`isOwed`) in one, `unwind` that retires and ends nobody else.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkGrammar, decodeReceipt, type Statement, type StatementType } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Replica } from '../replicas/replica.ts'
import { monoUs } from '../store/stamp.ts'
import type { Closing } from '../store/step.ts'
import { EmbassyWorld, newMachine } from '../test-support/embassy-world.ts'
import { FakeTpm } from '../test-support/fake-tpm.ts'

type Said<T extends StatementType> = Extract<Statement, { type: T }>

let directory: string
let world: EmbassyWorld
/** Which replica each session is in. */
const seats = new Map<string, Replica>()
let ended: Closing[]

async function start(machine: EmbassyWorld['machine'], metering?: 'optional'): Promise<void> {
  const epoch = { max_ms: 60_000, sessions: 3 }
  const onEnded = (closing: Closing) => void ended.push(closing)
  world = new EmbassyWorld(machine, undefined, metering, { epoch, onEnded })
  const enter = world.fleet.enter.bind(world.fleet)
  world.fleet.enter = (replica, session) => {
    seats.set(session.id, replica)
    return enter(replica, session)
  }
  await world.start()
}
beforeEach(async () => {
  ended = []
  directory = mkdtempSync(join(tmpdir(), 'sealed-epoch-'))
  await start(await newMachine(directory, new FakeTpm()))
})
afterEach(async () => {
  await world.stop()
  rmSync(directory, { recursive: true })
})

type Begun = Awaited<ReturnType<EmbassyWorld['begin']>>

/** Hands over under the session's name, and commits. */
async function finish({ id, revealed }: Begun, vector = [1, 0]): Promise<string> {
  world.handOver(revealed.address, vector, `chatcmpl-${id}`)
  return world.commit(id)
}
function said<T extends StatementType>(receipt: string, type: T): Said<T> {
  const { statements } = decodeReceipt(receipt).leaf
  checkGrammar(statements)
  return statements.find((statement) => statement.type === type) as Said<T>
}
/** The receipt of a session that is being ended. */
async function receiptOf(id: string): Promise<string> {
  for (;;) {
    const receipt = await world.ledger.receipt(id)
    if (receipt !== undefined) return receipt
    await new Promise((resolve) => setImmediate(resolve))
  }
}
const gone = { reason: 'client.gone', output_bytes: 0 } as const
/** Begins as many as one replica takes; all are in the same one, the fleet's other replica being full. */
async function crowd(callers: readonly string[]): Promise<Begun[]> {
  const beside = await Promise.all([0, 1, 2].map(() => world.begin('beside')))
  const inOne: Begun[] = []
  for (const caller of callers) inOne.push(await world.begin(caller))
  const { address } = beside[0]!.revealed
  const all = [...beside, ...inOne]
  const here = all.filter((one) => one.revealed.address === address)
  const there = all.filter((one) => one.revealed.address !== address)
  expect([here.length, there.length]).toEqual([3, 3])
  return here
}
const isSealed = ({ revealed }: Begun) => world.seal.links.get(`fake-${revealed.address}`)

describe('sessions that overlap', () => {
  test('share one seal, and each says with whom', async () => {
    const calls: string[] = []
    const { seal } = world.seal
    world.seal.seal = (link) => {
      calls.push(link.device)
      return seal(link)
    }
    const first = await world.begin('x')
    const second = await world.begin('y')
    const third = await world.begin('z')
    const [enforced, joined] = [first, third].map(({ revealed }) => revealed.address)
    expect(joined).toBe(enforced)
    expect(second.revealed.address).not.toBe(enforced)
    expect(calls.length).toBe(2)

    const receipt = await finish(third)
    const of = said(receipt, 'seal.joined')
    expect(of).toMatchObject({ sessions_overlapping: 1, tenants: 2, policy: 'epoch' })
    const kept = said(receipt, 'seal.kept')
    expect(kept).toMatchObject({ epoch: of.epoch, sessions_overlapping: 1, tenants: 2 })
    expect(isSealed(first)).toBe(true)

    const other = await finish(first)
    expect(said(other, 'seal.enforced')).toMatchObject({
      epoch: of.epoch,
      sessions_overlapping: 0,
      tenants: 1,
    })
    expect(said(other, 'seal.kept')).toMatchObject({ sessions_overlapping: 1, tenants: 2 })
    await finish(second)
  })

  test('are as many as the workload’s file says; more wait for a place', async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => world.begin()))
    const waiting = world.begin()
    await new Promise((resolve) => setImmediate(resolve))
    expect(world.fleet.pool.waiting).toBe(1)
    await finish(all[0]!)
    const next = await waiting
    expect(next.revealed.address).toBe(all[0]!.revealed.address)
    for (const one of [...all.slice(1), next]) await finish(one)
  })

  test('are metered each by the file that bears its name', async () => {
    const here = await crowd(['x', 'y', 'z'])
    for (const [i, { id, revealed }] of here.entries())
      world.handOver(revealed.address, [i + 1, 0, 7], id)
    const receipts = await Promise.all(here.map(({ id }) => world.commit(id)))
    const digests = receipts.map((receipt) => said(receipt, 'activations.observed').content_digest)
    expect(new Set(digests).size).toBe(3)
    expect(world.left(here[0]!.revealed.address)).toEqual([])
  })

  test('are not metered by the file of another', async () => {
    const [one, other] = (await crowd(['x', 'y', 'z'])) as [Begun, Begun]
    world.handOver(one.revealed.address, [1, 0], other.id)
    await expect(world.commit(one.id)).rejects.toMatchObject({ code: 'activations.missing' })
  })

  test('do not remove each other’s files', async () => {
    const first = await world.begin()
    await world.begin()
    world.handOver(first.revealed.address, [1, 0], first.id)
    const third = await world.begin()
    expect(third.revealed.address).toBe(first.revealed.address)
    await world.commit(first.id)
  })

  test('count once how long egress was open before them', async () => {
    const here = await crowd(['x', 'y', 'z'])
    for (const one of here) await finish(one)
    const open = ended.flatMap(({ statements }) =>
      statements.flatMap((one) => (one.type === 'seal.enforced' ? [one.egress_open_ms] : [])),
    )
    const [coverage] = world.inline.rows<{ egress_open_ms: number }>('SELECT * FROM coverage')
    expect([open.length, open[0]]).toEqual([1, coverage!.egress_open_ms])
    expect(open[0]).toBeGreaterThan(0)
  })

  test('owe nothing to those that come after', async () => {
    await world.stop()
    await start(world.machine, 'optional')
    const one = await world.begin()
    await world.commit(one.id)
    expect(world.seal.links.has(`fake-${one.revealed.address}`)).toBe(true)
  })
})

describe('where one ends badly', () => {
  test('a client that leaves ends its own session alone', async () => {
    const [one, ...others] = await crowd(['x', 'y', 'z'])
    const ended = await world.sessions.abort(one!.id, gone)
    expect(said(ended!.receipt, 'session.aborted').reason).toBe('client.gone')
    for (const other of others) await finish(other)
    expect(world.fleet.ready).toBe(2)
    const again = await world.begin()
    expect(again.revealed.address).toMatch(/-0$/)
    await finish(again)
  })

  test('what is handed over late for those who left goes when the next leaves, and nothing else does', async () => {
    const [one, two, three] = (await crowd(['x', 'y', 'z'])) as [Begun, Begun, Begun]
    const { address } = one.revealed
    world.handOver(address, [1, 0], `early-${one.id}`)
    await world.sessions.abort(one.id, gone)
    expect(world.left(address)).toEqual([])
    world.handOver(address, [1, 0], `late-${one.id}ab`)
    world.handOver(address, [1, 0], `ab${one.id}`)
    world.handOver(address, [1, 0], three.id)
    world.handOver(address, [1, 0], `being-written-${'ab'.repeat(16)}`)
    await finish(two)
    const stay = [three.id, `being-written-${'ab'.repeat(16)}`].map((name) => `${name}.safetensors`)
    expect(world.left(address).sort()).toEqual(stay.sort())
    await world.commit(three.id)
  })

  test('what a caller can bring about at will costs no replica', async () => {
    const [refused, long, other] = (await crowd(['x', 'y', 'z'])) as [Begun, Begun, Begun]
    const commit = { output_bytes: 1, output_sha256: 'ab'.repeat(32), status: 400 }
    await expect(world.sessions.commit(refused.id, commit)).rejects.toMatchObject({
      code: 'workload.failed',
    })
    await world.sessions.abort(long.id, { reason: 'workload.too_large', output_bytes: 9 })
    expect(world.fleet.pool.free).toBe(2)
    await finish(other)
    const again = await world.begin()
    expect(again.revealed.address).toBe(other.revealed.address)
    await finish(again)
  })

  test('a replica in doubt takes nobody in, lets those that are there finish, and is replaced', async () => {
    const [one, two, three] = (await crowd(['x', 'y', 'z'])) as [Begun, Begun, Begun]
    await world.sessions.abort(one.id, { reason: 'workload.failed', output_bytes: 0 })
    expect(world.fleet.pool.free).toBe(0)
    await finish(two)
    expect(world.seal.links.has(`fake-${two.revealed.address}`)).toBe(true)
    await finish(three)
    const next = await world.begin()
    expect(next.revealed.address).toBe(three.revealed.address.replace(/-0$/, '-1'))
    await finish(next)
  })

  test('nobody comes into a replica in doubt, free places or not', async () => {
    const [one, beside, two] = [await world.begin(), await world.begin(), await world.begin()]
    expect(two.revealed.address).toBe(one.revealed.address)
    await world.sessions.abort(two.id, { reason: 'deadline', output_bytes: 0 })
    const next = await Promise.all([world.begin(), world.begin()])
    for (const { revealed } of next) expect(revealed.address).toBe(beside.revealed.address)
    const last = world.begin()
    await new Promise((resolve) => setImmediate(resolve))
    expect(world.fleet.pool.waiting).toBe(1)
    await finish(one)
    expect((await last).revealed.address).not.toBe(one.revealed.address)
  })

  test('a replica that was destroyed is not given out again by those that leave it late', async () => {
    const here = await crowd(['x', 'y', 'z'])
    const replica = seats.get(here[0]!.id)!
    world.fleet.abandon(replica, here[0]!.id, 'seal.failed')
    world.fleet.leave(replica, here[1]!.id)
    const { signal } = new AbortController()
    const next = await Promise.all([1, 2, 3].map(() => world.fleet.pool.acquire(5_000, signal)))
    expect(next).not.toContain(replica)
  })

  test('a breach ends all of them, and says so in each receipt', async () => {
    const here = await crowd(['x', 'y', 'z'])
    world.seal.links.set(`fake-${here[0]!.revealed.address}`, false)
    await expect(finish(here[0]!)).rejects.toMatchObject({ code: 'seal.breached' })
    for (const { id } of here)
      expect(said(await receiptOf(id), 'session.aborted').reason).toBe('seal.breached')
  })

  test('a replica that dies ends all of them', async () => {
    const here = await crowd(['x', 'y', 'z'])
    const [index] = here[0]!.revealed.address.split('-')
    for (const [id, end] of world.containers.running)
      if (id.startsWith(`sealed-ffff-${index}-workload`)) end()
    for (const { id } of here)
      expect(said(await receiptOf(id), 'session.aborted').reason).toBe('replica.lost')
  })

  test('whoever joins where the seal cannot be read is given no key, and neither is anybody else', async () => {
    const first = await world.begin()
    await world.begin('beside')
    const { check } = world.seal
    world.seal.check = async (link) => ({ ...(await check(link)), sealed: false })
    seats.get(first.id)!.epoch!.last.readUs = 0n
    await expect(world.begin()).rejects.toMatchObject({ code: 'seal.breached' })
    expect(said(await receiptOf(first.id), 'session.aborted').reason).toBe('seal.breached')
  })
})

describe('the seal of an epoch', () => {
  test('is stated as of before it was asked for', async () => {
    const first = await world.begin()
    await world.begin('beside')
    const { check } = world.seal
    const asked: bigint[] = []
    world.seal.check = async (link) => {
      asked.push(monoUs())
      const reading = await check(link)
      while (monoUs() - asked.at(-1)! < 2_000n) {}
      return reading
    }
    seats.get(first.id)!.epoch!.last.readUs = 0n
    const joined = said(await finish(await world.begin()), 'seal.joined')
    expect(BigInt(joined.read_mono_us)).toBeLessThanOrEqual(asked[0]!)
    await finish(first)
  })

  test('is let go when its time is over and the last has left, and not before', async () => {
    const [one, two, three] = (await crowd(['x', 'y', 'z'])) as [Begun, Begun, Begun]
    // As its timer does.
    seats.get(one.id)!.epoch!.drain()
    await finish(one)
    await finish(two)
    expect([isSealed(three), world.fleet.pool.free]).toEqual([true, 0])
    const id = said(await finish(three), 'seal.kept').epoch
    while (isSealed(three)) await new Promise((resolve) => setImmediate(resolve))
    expect(said(await finish(await world.begin()), 'seal.kept').epoch).not.toBe(id)
  })

  test('is probed between two epochs where that is due, and what came late is gone', async () => {
    const one = await world.begin()
    const replica = seats.get(one.id)!
    const before = replica.probes
    replica.probes = { ...before, atMs: 0 }
    await finish(one)
    world.handOver(one.revealed.address, [1, 0], 'late')
    replica.epoch!.drain()
    while (world.fleet.pool.free < 6) await new Promise((resolve) => setImmediate(resolve))
    expect(replica.probes.atMs).toBeGreaterThanOrEqual(before.atMs)
    const next = await Promise.all([world.begin(), world.begin()])
    expect(world.left(one.revealed.address)).toEqual([])
    for (const { id } of next) await world.sessions.abort(id, gone)
  })
})

test('what was open when the embassy was killed is closed by the next', async () => {
  const begun = await Promise.all([0, 1, 2, 3].map(() => world.begin()))
  const { machine } = world
  world.life.left = -1
  await world.bury()
  await start(machine)
  for (const { id } of begun) {
    const receipt = await world.ledger.receipt(id)
    expect(said(receipt!, 'session.aborted').reason).toBe('embassy.restarted')
  }
})
