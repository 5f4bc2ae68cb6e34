// Witnesses: real ones on the loopback that cosign what they are shown, and others that are dead, slow, wrong, ahead or
// shown a fork. What they do never reaches a receipt.
import {
  parseAddCheckpoint,
  parseCheckpointBody,
  parseNote,
  readCosignatures,
} from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TestWitness } from '../../../test/support/witness.ts'
import { LedgerWorld } from '../test-support/ledger-world.ts'
import { type Post, postText } from './post-text.ts'
import { Witnesses } from './witnesses.ts'

let world: LedgerWorld
let one: TestWitness
let two: TestWitness
let witnesses: Witnesses
let logged: Record<string, unknown>[]
let wake: () => void

beforeEach(async () => {
  world = await LedgerWorld.make()
  one = await TestWitness.start('witness.example/one')
  two = await TestWitness.start('witness.example/two')
  logged = []
})
afterEach(async () => {
  await witnesses.stop()
  await Promise.all([one.close(), two.close()])
  await world.remove()
})

async function start(among = [one.entry, two.entry], post = postText): Promise<void> {
  wake = () => {}
  witnesses = new Witnesses({
    store: world.store,
    origin: world.origin,
    witnesses: among,
    post,
    pauseMs: 0,
    backOffMs: 1,
    log: (message, fields) => {
      logged.push({ message, ...fields })
      wake()
    },
  })
  world.onCheckpoint = () => witnesses.notify()
  await world.ledger.start()
}
const trustAll = () => {
  for (const witness of [one, two]) witness.trust(world.origin, world.publicKey)
}
const head = async () => {
  const note = parseNote((await world.store.runLazy('checkpoint', world.origin))!)
  return { note, size: parseCheckpointBody(note.body).size }
}
/** Resolves when something was logged that `holds` accepts. */
async function untilLogged(holds: (line: Record<string, unknown>) => boolean): Promise<void> {
  while (!logged.some(holds)) await new Promise<void>((resolve) => (wake = resolve))
}
const untilSeen = (size: number, ...among: TestWitness[]) =>
  Promise.all(among.map((w) => w.until(() => (w.seen(world.origin)?.size ?? 0) >= size)))
/** Resolves when the newest checkpoint has the lines of all these. */
async function untilCosigned(among: TestWitness[]): Promise<void> {
  for (;;) {
    const { note } = await head()
    const found = await readCosignatures(
      note,
      among.map(({ key }) => key),
    )
    if (found.length === among.length) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a checkpoint', () => {
  test('is cosigned by every witness, and served with what they signed', async () => {
    trustAll()
    await start()
    await untilCosigned([one, two])
    for (let i = 0; i < 5; i++) await world.use([1, 0])
    await untilSeen(6, one, two)
    await untilCosigned([one, two])
    expect((await head()).size).toBe(6)
    expect(logged).toEqual([])
  })

  test('is shown once for many, however many came meanwhile', async () => {
    trustAll()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const post: Post = async (...args) => {
      await held
      return postText(...args)
    }
    await start([one.entry], post)
    for (let i = 0; i < 20; i++) await world.use([1, 0])
    release()
    await untilSeen(21, one)
    expect(one.replies.length).toBeLessThanOrEqual(3)
  })

  test('is not made later by a witness that never answers, nor cosigned later by others', async () => {
    trustAll()
    one.instead = () => 'hang'
    await start()
    for (let i = 0; i < 5; i++) await world.use([1, 0])
    expect((await head()).size).toBe(6)
    await untilSeen(6, two)
    await untilCosigned([two])
    await witnesses.stop()
  })
})

describe('a witness', () => {
  test('that is dead harms no other, and is asked again when it lives', async () => {
    trustAll()
    const { port } = two
    const entries = [one.entry, two.entry]
    await two.close()
    await start(entries)
    await world.use([1, 0])
    await untilCosigned([one])
    await untilLogged(({ witness }) => witness === two.name)
    two = await TestWitness.start(two.name, port)
    // Another key than configured: what it signs is not its own.
    two.trust(world.origin, world.publicKey)
    await untilLogged(({ reason }) => String(reason).includes('without a cosignature of its key'))
    expect(await readCosignatures((await head()).note, [two.key])).toEqual([])
  })

  test('that learns of the log later cosigns then, and waits longer each time before', async () => {
    await start([one.entry])
    await untilLogged(({ retry_ms }) => retry_ms === 8)
    expect(logged.slice(0, 4).map(({ reason, retry_ms }) => [reason, retry_ms])).toEqual(
      [1, 2, 4, 8].map((ms) => ['it answers 404', ms]),
    )
    trustAll()
    await untilCosigned([one])
  })

  test('that knows another size is believed once, and shown the way from there', async () => {
    trustAll()
    await start([one.entry])
    for (let i = 0; i < 4; i++) await world.use([1, 0])
    await untilSeen(5, one)
    await witnesses.stop()
    await start([one.entry])
    await world.use([1, 0])
    await untilSeen(6, one)
    const conflict = one.replies.findLast(({ status }) => status === 409)
    expect(conflict?.body).toBe('5\n')
    expect(parseAddCheckpoint(one.replies.at(-1)!.request).old).toBe(5)
    await untilCosigned([one])
  })

  test('that is ahead says that this log was set back, and is not followed', async () => {
    await start([one.entry])
    one.instead = () => ({ status: 409, body: '99\n' })
    await untilLogged(({ reason }) => reason === 'it has seen this log with 99 leaves, here are 1')
    one.instead = () => ({ status: 409, body: '1\n' })
    await untilLogged(({ reason }) => reason === 'it changes the size it knows')
  })

  test('keeps no line that is not its cosignature on this checkpoint', async () => {
    await start([one.entry])
    const { note } = await head()
    const lines = await Promise.all([
      one.sign(note.body.replace('counter', 'Counter')),
      two.sign(note.body),
      one.sign(note.body, 0),
    ])
    const bodies = [...lines, '', 'x', 'x'.repeat(70_000), note.body, `${lines[1]}\n`]
    for (const body of bodies) {
      logged = []
      one.instead = () => ({ status: 200, body })
      await untilLogged(({ witness }) => witness === one.name)
      await untilLogged(() => true)
    }
    expect((await head()).note.signatures).toHaveLength(1)
  })

  test('signs no fork: two logs of one beginning', async () => {
    trustAll()
    await start([one.entry])
    await world.use([1, 0])
    await untilSeen(2, one)
    await world.use([1, 0])
    await untilSeen(3, one)
    // The witness is shown another third leaf: what it saw was not this log.
    const root = one.seen(world.origin)!.root
    root[0]! ^= 1
    await world.use([1, 0])
    await untilLogged(({ reason }) => reason === 'it answers 422')
    expect((await head()).note.signatures).toHaveLength(1)
  })
})

test('without witnesses nothing is asked and nothing is waited for', async () => {
  await start([])
  await world.use([1, 0])
  expect(logged).toEqual([])
})
