import { SealedError, SessionFailure, unspliceEvents, utf8 } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import type { PlainStream } from '../deps.ts'
import { eventStream } from '../event-stream.ts'
import { webStream } from '../stream.ts'
import { abortedReceipt, chat, fakeApp, ID, post, SALT } from '../test-support/fakes.ts'

const PATH = '/v1/chat/completions'
const EVENT = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
const DONE = 'data: [DONE]\n\n'
const RECEIPT = 'cmVjZWlwdA'
const STAPLE = `data: {"choices":[],"object":"chat.completion.chunk","receipt":"${RECEIPT}"}\n\n`

type Pieces = PlainStream['pieces']
type Act = string | { receipt: string } | (() => Promise<void>)

/** A relay's stream: texts, a receipt, or something that happens. */
async function* acting(acts: readonly Act[], ended: () => void = () => {}): Pieces {
  try {
    for (const act of acts)
      if (typeof act === 'function') await act()
      else yield typeof act === 'string' ? { data: utf8(act) } : act
  } finally {
    ended()
  }
}

const streaming = (pieces: Pieces, parts: Parameters<typeof fakeApp>[0] = {}) =>
  fakeApp({
    ...parts,
    relay: {
      plain: async () => ({ contentType: 'text/event-stream', receiptId: ID, salt: SALT, pieces }),
    },
  }).app
const ask = (app: ReturnType<typeof streaming>, headers: Record<string, string> = {}) =>
  app.request(PATH, post(chat({ stream: true }), headers))

describe('a stream of the plain door', () => {
  it('comes as the workload wrote it, with the receipt directly before its end', async () => {
    const response = await ask(streaming(acting([EVENT, DONE, { receipt: RECEIPT }])))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('sealed-receipt-id')).toBe(ID)
    expect(response.headers.get('sealed-salt')).toBe(SALT)
    const text = await response.text()
    expect(text).toBe(EVENT + STAPLE + DONE)
    expect(unspliceEvents(utf8(text))).toEqual({ output: utf8(EVENT + DONE), receipt: RECEIPT })
  })

  it('has no receipt where its id alone is preferred', async () => {
    const app = streaming(acting([EVENT, DONE, { receipt: RECEIPT }]))
    const response = await ask(app, { prefer: 'receipt=id' })
    expect(response.headers.get('preference-applied')).toBe('receipt=id')
    expect(await response.text()).toBe(EVENT + DONE)
  })

  it.each([
    [
      'a session that failed',
      () => new SessionFailure('workload.timeout', 'late', { receipt: abortedReceipt }),
    ],
    ['a receipt of the workload’s own', () => undefined],
  ])('ends in an error that SDKs see, and without its end mark, after %s', async (_, failure) => {
    const fails = async () => {
      const error = failure()
      if (error) throw error
    }
    const app = streaming(acting([EVENT, fails, STAPLE, DONE, { receipt: RECEIPT }]))
    const text = await (await ask(app)).text()
    expect(text.startsWith(EVENT)).toBe(true)
    const { error } = JSON.parse(text.slice(EVENT.length).replace('data: ', ''))
    expect(error).toMatchObject({
      type: 'session_error',
      code: expect.stringMatching(/^workload\./),
    })
    expect(text).not.toContain('[DONE]')
    expect(unspliceEvents(utf8(text))).toBeUndefined()
  })

  it('that is cut is never shorter and whole', async () => {
    const cut = async () => {
      throw new Error('the relay died')
    }
    await expect((await ask(streaming(acting([EVENT, cut])))).text()).rejects.toThrow()
    let cutOff = 0
    const app = streaming(acting([EVENT, cut]), { cutOff: () => cutOff++ })
    const reader = (await ask(app)).body!.getReader()
    await reader.read()
    void reader.read().catch(() => {})
    await expect.poll(() => cutOff).toBe(1)
  })

  it('is given up when the client leaves, and gives its slot back', async () => {
    let ended = false
    const waiting = () => new Promise<void>(() => {})
    const app = streaming(
      acting([EVENT, waiting], () => (ended = true)),
      {
        limits: { callerRequests: 1 },
      },
    )
    const response = await ask(app)
    const reader = response.body!.getReader()
    await reader.read()
    expect((await ask(app)).status).toBe(429)
    await reader.cancel()
    expect((await app.request('/v1/models')).status).toBe(200)
    expect(ended).toBe(true)
  })

  it('is one answer where the workload refuses', async () => {
    const { app, calls } = fakeApp()
    const response = await app.request(PATH, post(chat({ stream: true })))
    expect(calls[0]!.stream).toBe(true)
    expect(await response.text()).toContain('"receipt"')
  })
})

describe('heartbeats', () => {
  it('come while nothing else does, between events alone', async () => {
    const go = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
    const pieces = Promise.withResolvers<Pieces>()
    const source = eventStream(pieces.promise, { idOnly: false, heartbeatMs: 5 })
    const read = async () => {
      const { value } = await source.read()
      return value && new TextDecoder().decode(value)
    }
    expect(await read()).toBe(': sealed\n\n')
    pieces.resolve(
      acting([
        'data: 1',
        () => go[0].promise,
        '\n\n',
        () => go[1].promise,
        DONE,
        { receipt: RECEIPT },
      ]),
    )
    let text = await read()
    while (text === ': sealed\n\n') text = await read()
    expect(text).toBe('data: 1')
    setTimeout(() => go[0].resolve(), 30) // several heartbeats would have had their time
    expect(await read()).toBe('\n\n')
    expect(await read()).toBe(': sealed\n\n')
    go[1].resolve()
    let rest = ''
    for (let next = await read(); next !== undefined; next = await read()) rest += next
    expect(rest.replaceAll(': sealed\n\n', '')).toBe(STAPLE + DONE)
  })

  it.each([
    ['queue.timeout', new SessionFailure('queue.timeout', 'nobody was free')],
    ['replica.unavailable', new SealedError('replica.unavailable', 'the relay does not answer')],
  ])('give way to an error where the head never comes: %s', async (code, error) => {
    const failed = Promise.reject(error)
    failed.catch(() => {})
    const body = webStream(eventStream(failed, { idOnly: false }))
    expect(await new Response(body).text()).toContain(`"code":"${code}"`)
  })
})
