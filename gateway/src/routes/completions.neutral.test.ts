import { SessionFailure, unspliceReceipt, utf8 } from '@sealed/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PlainAnswer } from '../deps.ts'
import {
  ANSWER,
  abortedReceipt,
  chat,
  fakeApp,
  ID,
  never,
  post,
  SALT,
} from '../test-support/fakes.ts'

const PATH = '/v1/chat/completions'
const answering = (answer: Partial<PlainAnswer>) =>
  fakeApp({ relay: { plain: async () => ({ ...ANSWER, ...answer }) } }).app
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; param: string | null } }).error

describe('the plain door', () => {
  it('passes the body on unchanged and splices the receipt into the answer', async () => {
    const { app, calls } = fakeApp()
    const body = ` {"stream":false, "model" : "demo-small","x":1.50e1,"messages":[{"content":"é\\u0000"}]}\n`
    const response = await app.request(
      PATH,
      post(body, { 'content-type': 'application/json; charset=utf-8' }),
    )
    expect(response.status).toBe(200)
    expect(calls[0]).toMatchObject({
      caller: 'anonymous',
      workload: 'demo',
      endpoint: PATH,
      contentType: 'application/json',
      body: utf8(body),
    })
    expect(calls[0]).not.toHaveProperty('nonce')
    expect(await response.text()).toBe('{"id":"x","choices":[],"receipt":"cmVjZWlwdA"}')
    expect(response.headers.get('sealed-receipt-id')).toBe(ID)
    expect(response.headers.get('sealed-salt')).toBe(SALT)
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('changes no byte of any answer but for the splice', async () => {
    const objects = fc
      .dictionary(
        fc.string().filter((name) => name !== 'receipt'),
        fc.jsonValue(),
        { minKeys: 1 },
      )
      .map((value) => utf8(`${JSON.stringify(value, null, 2)}\n`))
    const anything = fc.uint8Array({ maxLength: 64 }).map((bytes) => new Uint8Array(bytes))
    await fc.assert(
      fc.asyncProperty(fc.oneof(objects, anything), async (body) => {
        const response = await answering({ body }).request(PATH, post(chat()))
        const got = new Uint8Array(await response.arrayBuffer())
        expect(unspliceReceipt(got)?.output ?? got).toEqual(body)
      }),
      { numRuns: 50 },
    )
  })

  it('takes the model’s workload, or the one of that name', async () => {
    const { app, calls } = fakeApp()
    for (const model of ['demo-large', 'demo', 'other-1', 'other'])
      await app.request(PATH, post(chat({ model })))
    await app.request('/v1/completions', post(chat({ model: 'other-1' })))
    expect(calls.map(({ workload, endpoint }) => `${workload} ${endpoint}`)).toEqual([
      `demo ${PATH}`,
      `demo ${PATH}`,
      `other ${PATH}`,
      `other ${PATH}`,
      'other /v1/completions',
    ])
  })

  it.each([
    ['{', 400, 'request.invalid', null],
    ['', 400, 'request.invalid', null],
    ['[]', 400, 'request.invalid', null],
    ['null', 400, 'request.invalid', null],
    ['"x"', 400, 'request.invalid', null],
    ['{}', 400, 'request.invalid', 'model'],
    ['{"model":1}', 400, 'request.invalid', 'model'],
    ['{"model":"gpt-5"}', 404, 'workload.unknown', 'model'],
    ['{"model":"toString"}', 404, 'workload.unknown', 'model'],
    [chat({ stream: 1 }), 400, 'request.invalid', 'stream'],
  ])('refuses %s with %i %s', async (body, status, code, param) => {
    const { app, calls } = fakeApp()
    const response = await app.request(PATH, post(body))
    expect(response.status).toBe(status)
    expect(await errorOf(response)).toMatchObject({ code, param })
    expect(calls).toEqual([])
  })

  it('refuses what is no UTF-8, no JSON by its type, or too large', async () => {
    const { app, calls } = fakeApp()
    const bad = Uint8Array.of(...utf8('{"model":"demo","x":"'), 0xc3, 0x28, ...utf8('"}'))
    expect((await app.request(PATH, post(bad))).status).toBe(400)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const typed = await app.request(PATH, post(chat(), form))
    expect([typed.status, typed.headers.get('accept-post')]).toEqual([415, 'application/json'])
    const large = await app.request(PATH, post(chat({ pad: 'x'.repeat(1024) })))
    expect([large.status, (await errorOf(large)).code]).toEqual([413, 'request.too_large'])
    const lying = await app.request(PATH, post(chat(), { 'content-length': '7' }))
    expect([lying.status, (await errorOf(lying)).param]).toEqual([400, 'content-length'])
    const absurd = await app.request(PATH, post(chat(), { 'content-length': '1e3' }))
    expect([absurd.status, (await errorOf(absurd)).param]).toEqual([400, 'content-length'])
    expect(calls).toEqual([])
  })

  it('refuses an endpoint that the workload does not serve', async () => {
    const response = await fakeApp().app.request('/v1/completions', post(chat()))
    expect([response.status, (await errorOf(response)).code]).toEqual([404, 'endpoint.unknown'])
  })

  it('passes a nonce on and echoes it', async () => {
    const { app, calls } = fakeApp()
    const nonce = 'A'.repeat(22)
    const response = await app.request(PATH, post(chat(), { 'sealed-nonce': nonce }))
    expect(response.headers.get('sealed-nonce')).toBe(nonce)
    expect(calls[0]!.nonce).toBe(nonce)
    for (const odd of ['A'.repeat(20), 'A'.repeat(88), '+'.repeat(22), 'A'.repeat(21), ''])
      expect((await app.request(PATH, post(chat(), { 'sealed-nonce': odd }))).status).toBe(400)
  })

  it('leaves the receipt to its id where that is preferred', async () => {
    const { app } = fakeApp()
    for (const prefer of ['receipt=id', 'respond-async, Receipt="id"; x=1', 'receipt = id']) {
      const response = await app.request(PATH, post(chat(), { prefer }))
      expect(await response.text()).toBe('{"id":"x","choices":[]}')
      expect(response.headers.get('sealed-receipt-id')).toBe(ID)
      expect(response.headers.get('preference-applied')).toBe('receipt=id')
    }
    const other = await app.request(PATH, post(chat(), { prefer: 'receipt=identity' }))
    expect(await other.text()).toContain('"receipt"')
  })

  it('withholds an answer that has a receipt of its own, whatever its status or type', async () => {
    const forged = utf8('{"id":"x","r\\u0065ceipt":"forged"}')
    for (const answer of [
      { body: forged },
      { body: forged, contentType: 'text/plain' },
      { body: forged, status: 400 },
    ]) {
      const response = await answering(answer).request(PATH, post(chat()))
      expect(response.status).toBe(424)
      expect(response.headers.get('x-should-retry')).toBe('false')
      expect(response.headers.get('sealed-receipt-id')).toBe(ID)
      const text = await response.text()
      expect(text).toContain('workload.failed')
      expect(text).not.toContain('forged')
    }
  })

  it('withholds events that nobody asked for: a forged receipt among them would look like ours', async () => {
    const body = utf8('data: {"choices":[],"receipt":"forged"}\n\ndata: [DONE]\n\n')
    for (const contentType of ['text/event-stream', 'Text/Event-Stream; charset=utf-8']) {
      const response = await answering({ contentType, body, receipt: abortedReceipt }).request(
        PATH,
        post(chat()),
      )
      expect(response.status).toBe(424)
      expect(response.headers.get('sealed-receipt-id')).toBe(ID)
      expect(await response.text()).not.toContain('forged')
    }
  })

  it('passes on an answer that is no JSON object, without a splice', async () => {
    for (const [contentType, body] of [
      ['text/plain', '{"a":1}'],
      ['application/json', '[{"a":1}]'],
      ['application/json', '{"a":1'],
      ['application/jsonp', '{"a":1}'],
    ] as const) {
      const response = await answering({ contentType, body: utf8(body) }).request(
        PATH,
        post(chat()),
      )
      const got = new Uint8Array(await response.arrayBuffer())
      expect([response.status, got]).toEqual([200, utf8(body)])
      expect(response.headers.get('content-type')).toBe(contentType)
      expect(response.headers.get('sealed-receipt-id')).toBe(ID)
    }
  })

  it('passes on what the workload refuses, and no status that would be sent again', async () => {
    const body = utf8('{"error":{"message":"no"}}')
    for (const status of [400, 404, 422]) {
      const response = await answering({ status, body }).request(PATH, post(chat()))
      expect([response.status, await response.text()]).toEqual([
        status,
        '{"error":{"message":"no"}}',
      ])
      expect(response.headers.get('sealed-receipt-id')).toBe(ID)
      expect(response.headers.get('x-should-retry')).toBe('false')
    }
    for (const status of [408, 409, 429, 500, 502, 503, 599]) {
      const response = await answering({ status, body }).request(PATH, post(chat()))
      expect([response.status, await response.text()]).toEqual([424, '{"error":{"message":"no"}}'])
      expect(response.headers.get('sealed-workload-status')).toBe(String(status))
    }
    const empty = await answering({ status: 204, body: new Uint8Array() }).request(
      PATH,
      post(chat()),
    )
    expect([empty.status, await empty.text()]).toEqual([204, ''])
  })

  it('tells a failure before the reveal from one after it', async () => {
    const failing = (failure: Error) =>
      fakeApp({ relay: { plain: () => Promise.reject(failure) } }).app.request(PATH, post(chat()))
    const before = await failing(new SessionFailure('replica.unavailable', 'none'))
    expect([before.status, before.headers.get('retry-after')]).toEqual([503, '1'])
    expect(before.headers.has('x-should-retry')).toBe(false)
    const limited = await failing(new SessionFailure('limit.caller', 'x', { retryAfterMs: 5_000 }))
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '5'])
    const own = await failing(new SessionFailure('seal.failed', 'no seal'))
    expect([own.status, own.headers.has('retry-after')]).toEqual([503, false])
    for (const failure of [
      new SessionFailure('session.aborted', 'x'),
      new SessionFailure('tpm.failed', 'x'),
      new SessionFailure('internal.error', 'x'),
      new SessionFailure('seal.failed', 'x', { receipt: abortedReceipt }),
      new SessionFailure('replica.unavailable', 'x', { receipt: abortedReceipt }),
      new Error('x'),
    ]) {
      const after = await failing(failure)
      expect(after.status).toBe(424)
      expect(after.headers.get('x-should-retry')).toBe('false')
      expect(after.headers.has('retry-after')).toBe(false)
    }
  })

  it('gives the relay’s request up when the client goes', async () => {
    const gone = new AbortController()
    let given: AbortSignal | undefined
    const { app } = fakeApp({
      relay: {
        plain: ({ signal }) => {
          given = signal
          setTimeout(() => gone.abort())
          return never(signal)
        },
      },
    })
    await app.request(PATH, { ...post(chat()), signal: gone.signal })
    expect(given!.aborted).toBe(true)
  })
})
