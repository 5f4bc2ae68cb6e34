import { describe, expect, it } from 'vitest'
import {
  ANSWER,
  chat,
  envelope,
  fakeApp,
  ID,
  keyEntry,
  post,
  streamOf,
} from '../test-support/fakes.ts'
import { Slots } from './slots.ts'

/** A relay whose calls wait until they are let go. */
function gate() {
  const waiting: (() => void)[] = []
  let arrived = () => {}
  return {
    count: (n: number) =>
      new Promise<void>((resolve) => {
        arrived = () => waiting.length >= n && resolve()
        arrived()
      }),
    open: () => {
      for (const go of waiting.splice(0)) go()
    },
    plain: async () => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
        arrived()
      })
      return ANSWER
    },
  }
}

describe('slots', () => {
  it('are bounded per caller with 429 and in all with 503, and come back', async () => {
    const apiKeys = await Promise.all(['a', 'b', 'c'].map((k) => keyEntry(`sk-${k}`, k)))
    const relay = gate()
    const limits = { callerRequests: 2, totalRequests: 3 }
    const { app } = fakeApp({ apiKeys: () => apiKeys, limits, relay: { plain: relay.plain } })
    const ask = (key: string) =>
      app.request('/v1/chat/completions', post(chat(), { authorization: `Bearer sk-${key}` }))
    const first = [ask('a'), ask('a'), ask('b')]
    await relay.count(3)
    const again = await ask('a')
    expect([again.status, again.headers.get('retry-after')]).toEqual([429, '1'])
    expect(await again.json()).toMatchObject({
      error: { code: 'limit.caller', type: 'rate_limit_error' },
    })
    const another = await ask('c')
    expect([another.status, another.headers.get('retry-after')]).toEqual([503, '1'])
    relay.open()
    for (const response of await Promise.all(first)) expect(response.status).toBe(200)
    const later = ask('a')
    await relay.count(1)
    relay.open()
    expect((await later).status).toBe(200)
  })

  it('are fewer for a key that says so, never more', async () => {
    const keys = [
      { ...(await keyEntry('sk-few', 'few')), concurrentRequests: 1 },
      { ...(await keyEntry('sk-many', 'many')), concurrentRequests: 100 },
    ]
    const relay = gate()
    const limits = { callerRequests: 2, totalRequests: 8 }
    const { app } = fakeApp({ apiKeys: () => keys, limits, relay: { plain: relay.plain } })
    const ask = (key: string) =>
      app.request('/v1/chat/completions', post(chat(), { authorization: `Bearer ${key}` }))
    const first = [ask('sk-few'), ask('sk-many'), ask('sk-many')]
    await relay.count(3)
    for (const key of ['sk-few', 'sk-many']) expect((await ask(key)).status).toBe(429)
    relay.open()
    for (const response of await Promise.all(first)) expect(response.status).toBe(200)
  })

  it('come back after every kind of failure', async () => {
    const { app } = fakeApp({
      limits: { callerRequests: 1 },
      relay: { plain: () => Promise.reject(new Error('x')) },
    })
    for (let i = 0; i < 3; i++) {
      expect((await app.request('/v1/chat/completions', post('{'))).status).toBe(400)
      expect((await app.request('/v1/chat/completions', post(chat()))).status).toBe(424)
      expect((await app.request(`/v1/receipts/${'0'.repeat(32)}`)).status).toBe(404)
      expect((await app.request(`/v1/receipts/${ID}`)).status).toBe(200)
    }
  })

  it('are held by a stream until it ends, breaks, or is given up', async () => {
    const sources: ReadableStreamDefaultController<Uint8Array>[] = []
    const { app } = fakeApp({
      limits: { callerRequests: 1 },
      relay: {
        sealed: async () => ({
          receiptId: ID,
          body: new ReadableStream<Uint8Array>({
            start: (controller) => void sources.push(controller),
          }).getReader(),
        }),
      },
    })
    const { body } = await envelope()
    const ask = () =>
      app.request(
        '/v1/sealed',
        post(body, { 'content-type': 'application/vnd.sealed-request+json' }),
      )
    const ended = await ask()
    expect((await ask()).status).toBe(429)
    sources[0]!.close()
    await ended.arrayBuffer()
    const broken = await ask()
    expect((await ask()).status).toBe(429)
    sources[1]!.error(new Error('cut'))
    await expect(broken.arrayBuffer()).rejects.toThrow()
    const given = await ask()
    expect((await ask()).status).toBe(429)
    await given.body!.cancel()
    expect((await ask()).status).toBe(200)
  })

  it('are given back once only', () => {
    const slots = new Slots({ callerRequests: 2, totalRequests: 2 })
    const [one, two] = [slots.take('a'), slots.take('a')]
    one()
    one()
    expect(slots.used).toBe(1)
    two()
    expect(slots.used).toBe(0)
    slots.take('a')
    slots.take('a')
    expect(() => slots.take('a')).toThrow(expect.objectContaining({ code: 'limit.caller' }))
    expect(() => slots.take('b')).toThrow(expect.objectContaining({ code: 'queue.full' }))
  })

  it('let nothing of a stream leave before it is wanted', async () => {
    const parts = [Uint8Array.of(1), Uint8Array.of(2)]
    const { app } = fakeApp({
      relay: { sealed: async () => ({ receiptId: ID, body: streamOf(...parts).getReader() }) },
    })
    const { body } = await envelope()
    const response = await app.request(
      '/v1/sealed',
      post(body, { 'content-type': 'application/vnd.sealed-request+json' }),
    )
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(Uint8Array.of(1, 2))
  })
})
