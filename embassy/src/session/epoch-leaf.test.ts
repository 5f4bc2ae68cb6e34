// The leaf of an epoch, as the embassy writes it: once, after its sessions, before its seal is let go or once its replica
// is gone, whatever else happens.
// Mutants, each red here or in faults-epoch.test.ts: the seal let go before `onEpochEnd` or whatever it says, no `check` at
// the end or its ruleset not compared, `gone` called before the replica is removed or never, `isOnDisk` set too early, no `ensureLeft`, epochs not looked for by `recover` or before its sessions, `insist` that gives up, a
// probe of whatever nobody is in.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkEpochs, type EpochLeaf, SealedError, type Statement } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Epoch } from '../replicas/epoch.ts'
import type { Replica } from '../replicas/replica.ts'
import { EmbassyWorld, newMachine } from '../test-support/embassy-world.ts'
import { FakeTpm } from '../test-support/fake-tpm.ts'

let directory: string
let world: EmbassyWorld
let replica: Replica

/** An embassy whose sessions share replicas, the first of them in `replica`. */
async function start(machine: EmbassyWorld['machine'], probeIntervalMs?: number): Promise<void> {
  world = new EmbassyWorld(machine, undefined, 'required', {
    epoch: { max_ms: 60_000, sessions: 3 },
    ...(probeIntervalMs !== undefined && { probeIntervalMs }),
  })
  const { enter } = world.fleet
  world.fleet.enter = (into, session) => {
    replica = into
    return enter.call(world.fleet, into, session)
  }
  await world.start()
}
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealed-epoch-leaf-'))
  await start(await newMachine(directory, new FakeTpm()))
})
afterEach(async () => {
  await world.stop()
  rmSync(directory, { recursive: true })
})

const epochLeaves = (): EpochLeaf[] =>
  world.later().filter(({ kind }) => kind === 'epoch') as EpochLeaf[]
/** The leaf of the epoch that ends next; all leaves agree. */
async function leafOf(epoch: Epoch): Promise<EpochLeaf> {
  const found = () => epochLeaves().find((leaf) => leaf.epoch === epoch.id)
  const leaf = await vi.waitUntil(found, { timeout: 20_000 })
  expect(checkEpochs(world.later()).open).not.toContain(epoch.id)
  return leaf
}
async function epochLeft(): Promise<Epoch> {
  await world.session()
  return replica.epoch!
}
const endOf = ({ statements }: EpochLeaf) =>
  statements.at(-1) as Extract<Statement, { type: 'epoch.ended' }>
const isSealed = (of: Replica) => world.seal.links.get(of.link.device)

test('an epoch that ends well is a leaf after its session, and the seal held until then', async () => {
  const epoch = await epochLeft()
  const of = replica
  world.seal.onRelease = (link) => {
    if (link.device === of.link.device) expect(epochLeaves()).toHaveLength(1)
  }
  epoch.drain()
  const leaf = await leafOf(epoch)
  expect(leaf.statements).toMatchObject([
    { type: 'epoch.begun', policy: 'epoch', replica: of.index, generation: of.generation },
    { type: 'seal.checked' },
    { type: 'epoch.ended', how: 'released' },
  ])
  expect(world.later().map(({ kind }) => kind)).toEqual(['session', 'epoch'])
  await vi.waitUntil(() => isSealed(of) === false)
})

test('one whose replica is in doubt ends when that is gone, and says why', async () => {
  const { id } = await world.begin()
  const { epoch, link } = replica
  const { remove } = world.containers
  let removed = 0
  world.containers.remove = async (container) => {
    await remove.call(world.containers, container)
    removed += 1
  }
  const { end } = world.ledger
  const removedAt: number[] = []
  world.ledger.end = (...given) => {
    removedAt.push(removed)
    return end.apply(world.ledger, given)
  }
  await world.sessions.abort(id, { reason: 'workload.failed', output_bytes: 0 })
  const leaf = await leafOf(epoch!)
  expect(endOf(leaf)).toMatchObject({ how: 'destroyed', reason: 'workload.failed' })
  expect(leaf.statements).toHaveLength(2)
  // Its workload and what held its network.
  expect(removedAt[0]).toBe(2)
  expect(world.seal.links.has(link.device)).toBe(false)
})

test.each([
  ['is not sealed at its end', { sealed: false }],
  ['has other rules at its end', { ruleset_digest: 'cd'.repeat(32) }],
])('one that %s is said to be broken, and not let go', async (_, found) => {
  const epoch = await epochLeft()
  const of = replica
  const { check } = world.seal
  world.seal.check = async (link) => ({ ...(await check.call(world.seal, link)), ...found })
  epoch.drain()
  expect(endOf(await leafOf(epoch))).toMatchObject({ how: 'destroyed', reason: 'seal.breached' })
  expect(isSealed(of)).not.toBe(false)
})

test('a probe that is due leaves an epoch alone that waits for its next session', async () => {
  await world.stop()
  await start(world.machine, 1)
  const epoch = await epochLeft()
  const { link } = replica
  const probed: string[] = []
  const { seal } = world.seal
  world.seal.seal = async (of) => {
    probed.push(of.device)
    return seal.call(world.seal, of)
  }
  // The other replica, which nobody is in, is probed each time.
  await vi.waitUntil(() => probed.length > 5)
  expect([probed.includes(link.device), world.seal.links.get(link.device)]).toEqual([false, true])
  expect(replica.epoch).toBe(epoch)
})

test('the seal is not let go while the log does not take the end', async () => {
  const epoch = await epochLeft()
  const of = replica
  const { end } = world.ledger
  let tries = 0
  world.ledger.end = async (...given) => {
    tries += 1
    expect(isSealed(of)).toBe(true)
    if (tries === 1) throw new SealedError('disk.full', 'told to fail')
    return end.apply(world.ledger, given)
  }
  epoch.drain()
  expect(endOf(await leafOf(epoch)).how).toBe('released')
  expect(tries).toBe(2)
})

test('one whose first session came to nothing begins with the next', async () => {
  await world.cancelled()
  expect(world.openRows()).toEqual([])
  const { epoch } = replica
  for (let i = 0; i < 2; i++) await world.session()
  const open = world.openRows().map(({ id }) => id)
  expect(open).toContain(epoch!.id)
  epoch!.drain()
  await leafOf(epoch!)
})

test('one that was on when the embassy was killed is ended by the next, after its sessions', async () => {
  await world.begin()
  const { epoch } = replica
  const { machine } = world
  world.life.left = -1
  await world.bury()
  await start(machine)
  expect(endOf(await leafOf(epoch!))).toMatchObject({
    how: 'destroyed',
    reason: 'embassy.restarted',
  })
  expect(world.later().map(({ kind }) => kind)).toEqual(['session', 'epoch'])
  expect(world.openRows()).toEqual([])
})
