// Mutants: `left < 1` as `left < 0`, a refused request that counts, `Math.min(perMinute, …)` dropped, `Math.max(0, …)`
// dropped, one bucket for all keys, `key.requestsPerMinute ??` dropped, `rated` before `keyed` in app.ts.
import { describe, expect, it } from 'vitest'
import { chat, fakeApp, keyEntry, NOW, post } from '../test-support/fakes.ts'
import { duration, Rates } from './rate.ts'

const HEADERS = ['limit', 'remaining', 'reset'].map((name) => `x-ratelimit-${name}-requests`)

async function world(limits: { requestsPerMinute: number }) {
  const apiKeys = [
    await keyEntry('sk-a', 'a'),
    { ...(await keyEntry('sk-b', 'b')), requestsPerMinute: 2 },
  ]
  let now = NOW
  const { app, calls } = fakeApp({ apiKeys: () => apiKeys, limits, clock: () => now })
  const ask = async (key: string, path = '/v1/chat/completions') => {
    const init =
      path === '/v1/models' ? { headers: new Headers() } : { ...post(chat()), headers: {} }
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
    const response = await app.request(path, { ...init, headers })
    return { response, rate: HEADERS.map((name) => response.headers.get(name)) }
  }
  const pass = (ms: number) => {
    now += ms
  }
  return { app, ask, calls, pass }
}

describe('the rate of an API key', () => {
  it('is bounded: 429 with the time to wait, before anything of the request is read', async () => {
    const { ask, calls, pass } = await world({ requestsPerMinute: 3 })
    expect((await ask('sk-a')).rate).toEqual(['3', '2', '20s'])
    expect((await ask('sk-a')).rate).toEqual(['3', '1', '40s'])
    expect((await ask('sk-a', '/v1/models')).rate).toEqual(['3', '0', '1m0s'])
    pass(500)
    const { response, rate } = await ask('sk-a')
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('20')
    expect(response.headers.get('x-should-retry')).toBeNull()
    expect(rate).toEqual(['3', '0', '59.5s'])
    expect(await response.json()).toMatchObject({
      error: { code: 'limit.rate', type: 'rate_limit_error', param: null },
    })
    expect(calls).toHaveLength(2)
    // What was refused cost nothing.
    pass(19_499)
    expect((await ask('sk-a')).response.status).toBe(429)
    pass(1)
    expect((await ask('sk-a')).response.status).toBe(200)
    expect((await ask('sk-a')).response.status).toBe(429)
  })

  it('is its own: by its limit, and whatever others do', async () => {
    const { ask } = await world({ requestsPerMinute: 1 })
    expect((await ask('sk-a')).response.status).toBe(200)
    expect((await ask('sk-a')).response.status).toBe(429)
    expect((await ask('sk-b')).rate).toEqual(['2', '1', '30s'])
    expect((await ask('sk-b')).response.status).toBe(200)
    expect((await ask('sk-b')).response.status).toBe(429)
  })

  it('is nobody’s who has no key', async () => {
    const { app, ask } = await world({ requestsPerMinute: 1 })
    for (let i = 0; i < 3; i++) {
      const { response, rate } = await ask('sk-unknown')
      expect([response.status, ...rate]).toEqual([401, null, null, null])
    }
    for (let i = 0; i < 3; i++) expect((await app.request('/v1/attestation')).status).toBe(200)
    const open = fakeApp({ limits: { requestsPerMinute: 1 } }).app
    for (let i = 0; i < 3; i++)
      expect((await open.request('/v1/chat/completions', post(chat()))).status).toBe(200)
  })

  it('comes back evenly, up to the limit, and not by a clock that falls', () => {
    let now = 1_000_000
    const rates = new Rates(() => now)
    const drain = () => {
      let taken = 0
      while (rates.take('a', 60).retryAfterMs === undefined) taken++
      return taken
    }
    expect(drain()).toBe(60)
    now += 10_000
    expect(drain()).toBe(10)
    now += 86_400_000
    expect(drain()).toBe(60)
    now -= 3_600_000
    expect(drain()).toBe(0)
    now += 1_000
    expect(drain()).toBe(1)
    expect(rates.take('a', 60)).toEqual({ remaining: 0, resetMs: 60_000, retryAfterMs: 1_000 })
  })

  it('is told as OpenAI tells it', () => {
    const said = [0, 250, 999, 1_000, 8_640, 59_999, 60_000, 90_001, 3_600_000].map(duration)
    expect(said).toEqual([
      '0ms',
      '250ms',
      '999ms',
      '1s',
      '8.64s',
      '59.999s',
      '1m0s',
      '1m31s',
      '60m0s',
    ])
  })
})
