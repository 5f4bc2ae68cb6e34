// The disk of an instance fills up: below the limit nothing is begun and what is under way ends in a receipt; with no
// byte left output is withheld and the abort is written later; through all of it the log only grows, no meter is lower,
// and it mends itself when there is room.
// Mutants: without `ensureRoom` in `open` of sessions.ts an envelope is refused inside a sealed answer; without `isLow` in
// the status /health is ready; with `onFull` left out in store.ts nobody looks at the disk; without `#writeLater` the
// session that met the full disk never has a receipt.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { audit, fetchCheckpoint, write } from '@sealed/client'
import { decodeReceipt } from '@sealed/protocol'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Store } from '../../embassy/src/store/store.ts'
import { CAPABILITY, SAMPLE } from '../support/failing-session.ts'
import { abortOf, CHAT, eventually, typesOf, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { expectRefusal } from '../support/refusals.ts'
import { SmallDisk } from '../support/small-disk.ts'

const MIB = 1024 * 1024
const LIMIT = 8 * MIB

let world: World
let machine: Machine
let disk: SmallDisk
let before: number
/** The checkpoint that was kept before anything happened. */
let kept: string

beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    limits: { disk_free_bytes: LIMIT },
    prepare: async (state) => {
      disk = await SmallDisk.mount(join(state, 'state'), 24 * MIB)
    },
  })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
  await world.chat(SAMPLE)
  before = (await world.meter(CAPABILITY))!
  kept = (await fetchCheckpoint(world.attested)).text
})
afterEach(() => disk.empty())
afterAll(async () => {
  await disk?.unmount()
  await world?.close()
})

interface Health {
  ready: boolean
  reason: string
}
const health = async (): Promise<Health> => JSON.parse((await world.send('/health')).text)
const ready = (is: boolean) =>
  eventually(`ready ${is}`, async () => {
    const found = await health().catch(() => undefined)
    return found?.ready === is ? found : undefined
  })
/** A session whose key is revealed and whose workload answers after so long. */
const hold = async (ms: number) => {
  await world.serving()
  const reply = world.chat(SAMPLE, { behave: { name: 'slow', ms } })
  const id = await eventually('a session', async () => (await machine.openSessions())[0])
  return { id, reply }
}
/** Sessions that have a leaf, but for one. */
const closedBut = async (id: string) => {
  const rows = await machine.rows<{ session: string | null }>('SELECT session FROM leaves')
  return rows.map(({ session }) => session).filter((session) => session !== id)
}
/** The log of today has grown out of the one that was kept, and the meter is what it must be. */
const expectWhole = async (meter: number) => {
  await world.attest()
  expect((await audit(world.attested, kept)).logs).toHaveLength(1)
  expect(await world.meter(CAPABILITY)).toBe(meter)
}

test('below the limit nothing is begun, and what is under way ends in its receipt', async () => {
  const { id, reply } = await hold(15_000)
  await disk.fill(LIMIT - MIB)
  expect((await ready(false)).reason).toContain('the disk is full')
  const closed = await closedBut(id)

  const refused = await world.chat(SAMPLE)
  expectRefusal(refused, { status: 503, code: 'disk.full' })
  expect(refused.headers.get('retry-after')).toBe('10')
  const failure = await world.askToFail(SAMPLE)
  expect([failure.status, failure.code, failure.evidence]).toEqual([503, 'disk.full', undefined])
  await expect(world.reading()).rejects.toMatchObject({ code: 'disk.full' })
  expect(await closedBut(id)).toEqual(closed)

  const answered = await reply
  expect(abortOf(answered.receipt)).toBeUndefined()
  expect([answered.status, typesOf(answered.receipt!)]).toEqual([
    200,
    expect.arrayContaining(['output.committed']),
  ])
  before += 1_000_000
  expect((await world.send(`/v1/receipts/${id}`)).text).toBe(answered.receipt)
  expect((await health()).ready).toBe(false)

  await disk.empty()
  await ready(true)
  await world.serving()
  await expectWhole(before)
})

test('with no byte left the output is withheld, and the receipt says so once there is room', async () => {
  const { id, reply } = await hold(5_000)
  await disk.fill(0)
  const answered = await reply
  expect([answered.status, answered.code]).toEqual([424, 'disk.full'])
  expect(answered.headers.get('x-should-retry')).toBe('false')
  expect(answered.headers.get('sealed-receipt-id')).toBe(id)
  expect(answered.text).not.toContain('"choices"')
  expectRefusal(await world.chat(SAMPLE), { status: 503, code: 'disk.full' })
  expect((await world.send('/v1/attestation')).status).toBe(200)

  await disk.empty()
  const receipt = await world.receipt(id)
  expect(abortOf(receipt)).toBe('internal.error')
  expect(decodeReceipt(receipt).leaf.session).toBe(id)
  await world.serving()
  await expectWhole(before)
})

test('an embassy that is killed on a full disk loses nothing and starts by itself when there is room', async () => {
  const { id, reply } = await hold(100_000)
  await disk.fill(0)
  await machine.kill(await machine.embassyPid())
  expect((await reply).status).not.toBe(200)
  await eventually('a start that fails', async () =>
    (await world.logged('embassy does not start')).some(({ code }) => code === 'disk.full')
      ? true
      : undefined,
  )
  await disk.empty()
  await world.serving()
  expect(abortOf(await world.receipt(id))).toBe('embassy.restarted')
  await expectWhole(before)
})

test('a write that finds no room says so at once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-small-'))
  const small = await SmallDisk.mount(directory, 2 * MIB)
  let told = 0
  const store = new Store(join(directory, 'embassy.db'), { onFull: () => told++ })
  const document = { digest: 'ab'.repeat(32), document: 'x'.repeat(4 * MIB) }
  await expect(store.run('keepDocument', document)).rejects.toMatchObject({ code: 'disk.full' })
  expect(told).toBe(1)
  await store.close()
  await small.unmount()
  await rm(directory, { recursive: true })
})
