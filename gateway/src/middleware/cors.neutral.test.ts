// Mutants: `allowed.has(origin)` made `true`; the header lists dropped; `vary` dropped, or not appended; `cors` after
// `apiKey` in app.ts; HEADER_NAMES dropped.
import { describe, expect, it } from 'vitest'
import { chat, fakeApp, ID, keyEntry, post } from '../test-support/fakes.ts'

const ORIGIN = 'https://app.example'
const CHAT = '/v1/chat/completions'
const apiKeys = [await keyEntry('sk-a', 'a')]
const preflight = (headers: Record<string, string> = {}): RequestInit => ({
  method: 'OPTIONS',
  headers: {
    origin: ORIGIN,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, content-type,x-stainless-os',
    ...headers,
  },
})
const corsOf = ({ headers }: Response) =>
  [...headers].filter(([name]) => name.startsWith('access-control-')).map(([name]) => name)

describe('web pages', () => {
  it('may not call where no origin is named, and nothing speaks of it', async () => {
    const { app } = fakeApp()
    const asked = await app.request(CHAT, preflight())
    expect([asked.status, corsOf(asked), asked.headers.get('vary')]).toEqual([405, [], null])
    const called = await app.request(CHAT, post(chat(), { origin: ORIGIN }))
    expect([called.status, corsOf(called), called.headers.get('vary')]).toEqual([200, [], null])
  })

  it('of a named origin may ask without a key, and call with one', async () => {
    const { app, calls } = fakeApp({ corsOrigins: [ORIGIN], apiKeys: () => apiKeys })
    const asked = await app.request(CHAT, preflight())
    expect(asked.status).toBe(204)
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, HEAD, POST',
      'access-control-allow-headers': 'authorization, content-type,x-stainless-os',
      'access-control-max-age': '600',
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    })
    expect(asked.headers.has('access-control-allow-credentials')).toBe(false)
    expect(calls).toEqual([])
    const headers = { origin: ORIGIN, authorization: 'Bearer sk-a' }
    const called = await app.request(CHAT, post(chat(), headers))
    expect([called.status, called.headers.get('access-control-allow-origin')]).toEqual([
      200,
      ORIGIN,
    ])
    const exposed = called.headers.get('access-control-expose-headers')!.split(', ')
    const safe = [
      'cache-control',
      'content-length',
      'content-type',
      'x-content-type-options',
      'vary',
    ]
    for (const [name] of called.headers)
      if (!name.startsWith('access-control-') && !safe.includes(name))
        expect(exposed).toContain(name)
    expect(exposed).toContain('sealed-receipt-id')
  })

  it('can read why they were refused', async () => {
    const { app } = fakeApp({ corsOrigins: [ORIGIN], apiKeys: () => apiKeys })
    for (const [path, init, status] of [
      [CHAT, post(chat()), 401],
      ['/v1/attestation', { method: 'PUT' }, 405],
      ['/v1/nothing', {}, 404],
      ['/v1/receipts/x', {}, 404],
    ] as const) {
      const headers = { ...(init as { headers?: object }).headers, origin: ORIGIN }
      const answer = await app.request(path, { ...init, headers } as RequestInit)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN)
      expect(answer.headers.get('access-control-expose-headers')).toContain('x-request-id')
    }
  })

  it.each([
    'https://app.example.evil.example',
    'https://APP.example',
    'http://app.example',
    'null',
  ])('of %s hear nothing, and no cache gives them what others heard', async (origin) => {
    const { app } = fakeApp({ corsOrigins: [ORIGIN] })
    const asked = await app.request(CHAT, preflight({ origin }))
    expect([asked.status, corsOf(asked)]).toEqual([405, []])
    for (const headers of [{ origin }, {}, { origin: ORIGIN }]) {
      const got = await app.request(`/v1/receipts/${ID}`, { headers: headers as HeadersInit })
      expect(corsOf(got).length > 0).toBe('origin' in headers && headers.origin === ORIGIN)
      expect(got.headers.get('vary')!.toLowerCase().split(', ')).toEqual(['accept', 'origin'])
    }
  })

  it('have no header named back that is no header’s name', async () => {
    const { app } = fakeApp({ corsOrigins: [ORIGIN] })
    for (const names of ['a b', 'x: 1', '*', 'a'.repeat(65), Array(33).fill('a').join(',')]) {
      const asked = await app.request(CHAT, preflight({ 'access-control-request-headers': names }))
      expect([asked.status, asked.headers.has('access-control-allow-headers')]).toEqual([
        204,
        false,
      ])
    }
  })

  it('may send OPTIONS that is no preflight, which is refused as ever', async () => {
    const { app } = fakeApp({ corsOrigins: [ORIGIN] })
    const answer = await app.request(CHAT, { method: 'OPTIONS', headers: { origin: ORIGIN } })
    expect(answer.status).toBe(405)
  })
})
