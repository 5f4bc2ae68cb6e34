// Streamed answers of the plain door on a running instance: events as they come while the seal holds, the receipt before
// the end mark, and a verdict on the very bytes. Whatever goes wrong after the head is an error, never a shorter answer.
// Mutants: digest of the stream left out of `call` (workload-client.ts), `failed` frames passed over in `piecesOf`
// (relay-client.ts), `push` without its search for what only a gateway writes (event-splice.ts).
import { fromBase64url, unspliceEvents, utf8, verifyReceipt } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { abortOf, CHAT, eventually, World } from './support/instance.ts'
import { Machine } from './support/machine.ts'

let world: World
beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    limits: { activations_ms: 300, output_bytes: 1_000_000, workload_ms: 4_000 },
  })
})
afterAll(() => world?.close())

const bodyOf = (behave?: object) =>
  world.body('say it', { stream: true, ...(behave && { behave }) })
const post = (body: Uint8Array<ArrayBuffer>, signal?: AbortSignal) =>
  fetch(`${world.url}${CHAT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    ...(signal && { signal }),
  })
const idOf = (response: Response) => response.headers.get('sealed-receipt-id')!
const errorOf = (text: string) => JSON.parse(/data: (\{"error".*\})\n\n$/.exec(text)![1]!).error

describe('a stream', () => {
  test('ends in a receipt that verifies over what the workload wrote', async () => {
    const body = bodyOf()
    const response = await post(body)
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
    ])
    const stream = new Uint8Array(await response.arrayBuffer())
    expect(new TextDecoder().decode(stream)).toMatch(
      /"receipt":"[A-Za-z0-9_-]+"\}\n\ndata: \[DONE\]\n\n$/,
    )
    const { output, receipt } = unspliceEvents(stream)!
    expect(receipt).toBe(await world.receipt(idOf(response)))
    const { document, policy, now } = world.attested
    const salt = fromBase64url(response.headers.get('sealed-salt')!)
    const judged = async (said: Uint8Array) => {
      const input = { document, receipt, input: body, output: said, salt }
      const { checks } = await verifyReceipt(input, policy, now())
      return checks.filter(({ result }) => result === 'fail').map(({ id }) => id)
    }
    expect(await judged(output)).toEqual([])
    expect(await judged(output.subarray(0, -1))).toEqual(['receipt.output'])
    expect(await judged(stream)).toEqual(['receipt.output'])
  })

  test('comes while the seal holds, before the session has an end', async () => {
    const response = await post(bodyOf({ name: 'stream-slow', ms: 700 }))
    const reader = response.body!.getReader()
    const first = new TextDecoder().decode((await reader.read()).value)
    expect(first).toContain('first')
    const early = await world.send(`/v1/receipts/${idOf(response)}`)
    expect(early.status).toBe(404)
    let text = first
    for (let next = await reader.read(); !next.done; next = await reader.read())
      text += new TextDecoder().decode(next.value)
    expect(text).toContain('second')
    expect(unspliceEvents(utf8(text))?.receipt).toBe(await world.receipt(idOf(response)))
  })

  test('that was not asked for stays whole and held', async () => {
    const reply = await world.chat('say it')
    expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'application/json'])
  })
})

describe('is an error in the stream, and a receipt that says why, when the workload', () => {
  test.each<[string, object, string]>([
    ['breaks off', { name: 'stream-cut' }, 'workload.failed'],
    ['takes too long', { name: 'stream-slow', ms: 20_000 }, 'deadline'],
    ['says too much', { name: 'stream-endless' }, 'workload.too_large'],
    ['hands no activations over', { name: 'stream-unmetered' }, 'activations.missing'],
  ])('%s', async (_, behave, reason) => {
    const response = await post(bodyOf(behave))
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text).toContain('first')
    expect(text).not.toContain('[DONE]')
    expect(errorOf(text)).toMatchObject({ type: 'session_error' })
    expect(abortOf(await world.receipt(idOf(response)))).toBe(reason)
    await world.serving()
  })

  test('writes a receipt of its own', async () => {
    const response = await post(bodyOf({ name: 'stream-forged' }))
    const text = await response.text()
    expect(errorOf(text)).toMatchObject({ code: 'workload.failed' })
    expect(unspliceEvents(utf8(text))).toBeUndefined()
  })
})

test('a client that leaves in the middle ends its session, and a receipt says so', async () => {
  const gone = new AbortController()
  const response = await post(bodyOf({ name: 'stream-slow', ms: 20_000 }), gone.signal)
  await response.body!.getReader().read()
  gone.abort()
  const receipt = await eventually('its receipt', () => world.receipt(idOf(response)))
  expect(abortOf(receipt)).toBe('client.gone')
  await world.serving()
})

test('a stream that is cut by the relay’s end is no end', async () => {
  const response = await post(bodyOf({ name: 'stream-slow', ms: 3_000 }))
  const reader = response.body!.getReader()
  await reader.read()
  const machine = new Machine(world)
  await machine.kill(await machine.relayPid())
  const rest = (async () => {
    for (;;) if ((await reader.read()).done) return 'an end'
  })()
  await expect(rest).rejects.toThrow()
  expect(abortOf(await world.receipt(idOf(response)))).toBe('relay.lost')
})
