// More callers than there are replicas: who waits, in which order they are served, who is turned away, and what they
// are told.
import { createApiKey } from '@sealed/client'
import { decodeReceipt } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Crafted, craft } from '../support/craft.ts'
import { abortOf, eventually, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { type Begun, beginSealed, chunkedBody } from '../support/raw-http.ts'
import { expectRefusal, openAnswer } from '../support/refusals.ts'

let world: World
let machine: Machine

async function start(options: Parameters<typeof World.start>[0]): Promise<void> {
  world = await World.start({ workload: 'hostile', ...options })
  machine = new Machine(world)
}

interface Running extends Begun {
  crafted: Crafted
}

/** A session that goes on until its client leaves. */
const HOLD = { behave: { name: 'slow', ms: 100_000 } }

async function begin(extra: Record<string, unknown>, headers: string[] = []): Promise<Running> {
  const crafted = await craft(world, { extra })
  return { crafted, ...(await beginSealed(world.url, crafted.body, headers)) }
}

async function hold(headers: string[] = []): Promise<Running> {
  const session = await begin(HOLD, headers)
  await machine.revealed(session.id)
  return session
}

/** Head and final of the whole answer. */
async function finish({ client, crafted }: Running) {
  const bytes = chunkedBody(await client.until(/\r\n0\r\n\r\n$/))
  client.destroy()
  const { head, final } = await openAnswer({ bytes: bytes! }, crafted)
  return { head: JSON.parse(head!), final: JSON.parse(final!) } as {
    head: { status: number }
    final: { receipt?: string }
  }
}

describe('one replica', () => {
  beforeAll(() => start({ limits: { caller_sessions: 200, queue_ms: 60_000 } }))
  afterAll(() => world?.close())

  test('serves one, keeps 64 waiting in order, and turns the next away with Retry-After', async () => {
    const first = await hold()
    const waiting: Running[] = []
    for (let i = 0; i < 64; i++) waiting.push(await begin({}))
    const { body } = await craft(world, {})
    for (const refused of [await world.post(body), await world.chat('plain')]) {
      expectRefusal(refused, { status: 503, code: 'queue.full' })
      expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
      expect(refused.headers.has('x-should-retry')).toBe(false)
    }
    first.client.destroy()
    expect(abortOf(await world.receipt(first.id))).toBe('client.gone')
    const order: number[] = []
    for (const session of waiting) {
      const { head, final } = await finish(session)
      expect(head.status).toBe(200)
      order.push(decodeReceipt(final.receipt!).index)
    }
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(new Set(order).size).toBe(64)
    // Whoever was turned away is served now, with the same envelope.
    expect((await world.post(body)).status).toBe(200)
  })
})

describe('two replicas, both held by one caller', () => {
  afterAll(() => world?.close())
  const held: Running[] = []
  const keys = { greedy: '', other: '' }

  beforeAll(async () => {
    const [greedy, other] = await Promise.all([createApiKey('greedy'), createApiKey('other')])
    keys.greedy = greedy.apiKey
    keys.other = other.apiKey
    await start({
      replicas: 2,
      apiKeys: [greedy.entry, other.entry],
      limits: { caller_sessions: 2, queue_ms: 500 },
    })
    const authorization = `Authorization: Bearer ${keys.greedy}`
    for (let i = 0; i < 2; i++) held.push(await hold([authorization]))
  })

  const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })
  const leaves = () => machine.rows('SELECT 1 FROM leaves')

  test('that caller is told to wait for one of its own to end', async () => {
    const { body } = await craft(world)
    for (const refused of [
      await world.chat('third', {}, as(keys.greedy)),
      await world.post(body, as(keys.greedy)),
    ]) {
      expectRefusal(refused, { status: 429, code: 'limit.caller' })
      expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    }
  })

  test('another waits as long as the queue allows, is told so, and leaves nothing', async () => {
    const before = await leaves()
    const plain = await world.chat('waits', {}, as(keys.other))
    expectRefusal(plain, { status: 503, code: 'queue.timeout' })
    expect(plain.headers.get('retry-after')).toBe('1')
    const attested = await world.attest(keys.other)
    const failure = await world.askToFail('waits in an envelope', { attested })
    expect(failure.code).toBe('queue.timeout')
    expect(failure.evidence?.receipt).toBeUndefined()
    expect(await leaves()).toEqual(before)
    expect((await machine.openSessions()).sort()).toEqual(held.map(({ id }) => id).sort())
  })

  test('and is served once they have gone', async () => {
    for (const { client } of held) client.destroy()
    for (const { id } of held) expect(abortOf(await world.receipt(id))).toBe('client.gone')
    // Replicas take a moment to be replaced, and this deployment's queue is impatient.
    const attested = await world.attest(keys.other)
    const answer = await eventually('an answer', () =>
      world.ask('served', { attested }).catch(() => undefined),
    )
    expect(answer.verdict.outcome).toBe('verified')
  })
})
