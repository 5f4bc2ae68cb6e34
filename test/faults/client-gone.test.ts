// Clients that leave or stop reading: while the workload works, while they wait for a replica, while the answer is on
// its way. Every session that had begun has a receipt; one that had not leaves nothing.
// Mutants: without `gone.abort` in `readable` of the relay's sealed door, or without the relay's signal at the plain
// door, a session whose client left runs to its end ("client.gone" red); `await this.#reader()` before the commit
// instead of after it would keep the replica for a slow reader (last test red).
import { write } from '@sealed/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { craft } from '../support/craft.ts'
import { abortOf, CHAT, eventually, statementOf, typesOf, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { beginSealed, chunkedBody, RawClient } from '../support/raw-http.ts'
import { openAnswer } from '../support/refusals.ts'

const CONTENT = 'a sample that is written'
let world: World
let machine: Machine

beforeAll(async () => {
  world = await World.start({ workload: 'hostile' })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(CONTENT), capability: 'sample' })
})
afterAll(() => world?.close())

const slow = (ms: number) => ({ behave: { name: 'slow', ms } })
const LARGE = { behave: { name: 'huge', bytes: 12_000_000 } }

describe('a client that leaves while the workload works', () => {
  test('on an envelope: a receipt says so, nothing is metered, and the replica is replaced', async () => {
    const before = await world.meter('sample')
    const { body } = await craft(world, { content: CONTENT, extra: slow(60_000) })
    const { client, id } = await beginSealed(world.url, body)
    await machine.revealed(id)
    client.destroy()
    const receipt = await world.receipt(id)
    expect(abortOf(receipt)).toBe('client.gone')
    expect(typesOf(receipt)).toEqual([
      'request.received',
      'seal.enforced',
      'input_key.revealed',
      'session.aborted',
    ])
    const { replica, generation } = statementOf(receipt, 'seal.enforced')
    const next = statementOf((await world.serving()).receipt!, 'seal.enforced')
    expect(next).toMatchObject({ replica, generation: generation + 1, sessions_before: 0 })
    expect(await world.meter('sample')).toBe(before)
    expect((await world.post(body)).code).toBe('envelope.replayed')
  })

  test('on a plain request as well', async () => {
    const before = await world.meter('sample')
    const client = await RawClient.open(world.url)
    const body = new TextDecoder().decode(world.body(CONTENT, slow(60_000)))
    client.request(
      [
        `POST ${CHAT} HTTP/1.1`,
        'Host: localhost',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
      ],
      body,
    )
    const id = await eventually('a session on disk', async () => (await machine.openSessions())[0])
    expect(client.received).toBe('')
    client.destroy()
    expect(abortOf(await world.receipt(id))).toBe('client.gone')
    await world.serving()
    expect(await world.meter('sample')).toBe(before)
  })
})

describe('a client that leaves before its turn', () => {
  test('leaves no leaf, burns no nonce, and gives its place up', async () => {
    await world.serving()
    const made = await world.leavesMadeBy(async () => {
      const running = await craft(world, { extra: slow(2_000) })
      const first = await beginSealed(world.url, running.body)
      await machine.revealed(first.id)
      const waiting = await craft(world, { content: CONTENT })
      const second = await beginSealed(world.url, waiting.body)
      second.client.destroy()
      const answer = chunkedBody(await first.client.until(/\r\n0\r\n\r\n$/))!
      first.client.destroy()
      const opened = await openAnswer({ bytes: answer }, running)
      expect(JSON.parse(opened.head!)).toMatchObject({ status: 200 })
      expect((await world.send(`/v1/receipts/${second.id}`)).status).toBe(404)
      // The very envelope works now: its nonce was not used.
      const again = await world.post(waiting.body)
      expect(again.status).toBe(200)
      expect(abortOf(await world.receipt(again.headers.get('sealed-receipt-id')!))).toBeUndefined()
    })
    expect(made).toBe(2)
    expect(await machine.openSessions()).toEqual([])
  })
})

describe('a slow reader', () => {
  test('keeps nobody waiting, and has its whole answer when it reads on', async () => {
    const large = await craft(world, { extra: LARGE })
    const { client, id } = await beginSealed(world.url, large.body)
    client.stopReading()
    const receipt = await world.receipt(id)
    expect(statementOf(receipt, 'output.committed').output_bytes).toBe(12_000_000)
    for (let i = 0; i < 3; i++) expect((await world.chat('meanwhile')).status).toBe(200)
    client.readOn()
    const bytes = chunkedBody(await client.until(/\r\n0\r\n\r\n$/))!
    client.destroy()
    const { final } = await openAnswer({ bytes }, large)
    expect(JSON.parse(final!)).toMatchObject({ receipt })
  })

  test('that leaves half way through an answer changes nothing of its receipt', async () => {
    const large = await craft(world, { extra: LARGE })
    const { client, id } = await beginSealed(world.url, large.body)
    client.stopReading()
    const receipt = await world.receipt(id)
    client.destroy()
    expect(typesOf(receipt).at(-1)).toBe('response.released')
    const next = await world.serving()
    expect(await world.receipt(id)).toBe(receipt)
    const { generation } = statementOf(receipt, 'seal.enforced')
    expect(statementOf(next.receipt!, 'seal.enforced').generation).toBe(generation)
  })
})
