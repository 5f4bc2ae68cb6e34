import { SealedError } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { chat, DIGEST, fakeApp, ID, keyEntry, post, STATUS } from './test-support/fakes.ts'

const errorOf = async (response: Response) =>
  ((await response.json()) as { error: Record<string, unknown> }).error

describe('every answer', () => {
  it('has a request id, the caller’s own where that is harmless', async () => {
    const { app } = fakeApp()
    const given = await app.request('/health', { headers: { 'x-request-id': 'abc.DEF-1_2' } })
    expect(given.headers.get('x-request-id')).toBe('abc.DEF-1_2')
    for (const odd of ['a b', 'x'.repeat(65), 'a"b', '../x', 'a:b']) {
      const response = await app.request('/nowhere', { headers: { 'x-request-id': odd } })
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    }
  })

  it('is 404 in OpenAI’s shape at a path that nothing serves', async () => {
    const { app } = fakeApp()
    for (const path of ['/', '/v1', '/v1/sealed/', '/v1/receipts', '/..%2fhealth']) {
      const response = await app.request(path)
      expect(response.status, path).toBe(404)
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await errorOf(response)).toEqual({
        message: expect.stringContaining('/v1'),
        type: 'invalid_request_error',
        code: 'request.not_found',
        param: null,
      })
    }
  })

  it.each([
    ['/v1/sealed', 'GET', 'POST'],
    ['/v1/chat/completions', 'GET', 'POST'],
    ['/v1/completions', 'PUT', 'POST'],
    ['/v1/models', 'POST', 'GET, HEAD'],
    ['/v1/attestation', 'POST', 'GET, HEAD'],
    [`/v1/attestation/${DIGEST}`, 'DELETE', 'GET, HEAD'],
    [`/v1/receipts/${ID}`, 'POST', 'GET, HEAD'],
    ['/health', 'POST', 'GET, HEAD'],
  ])('is 405 with Allow for %s %s', async (path, method, allow) => {
    const response = await fakeApp().app.request(path, { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe(allow)
    expect((await errorOf(response)).code).toBe('request.method')
  })

  it('says nothing of a failure that nobody foresaw, and reports it', async () => {
    const reported: unknown[] = []
    const boom = new TypeError('secret prompt')
    const { app } = fakeApp({
      relay: { plain: () => Promise.reject(boom) },
      embassy: { receipt: () => Promise.reject(boom) },
      report: (error, id) => reported.push([error, id]),
    })
    const before = await app.request(`/v1/receipts/${ID}`, { headers: { 'x-request-id': 'one' } })
    expect(before.status).toBe(500)
    const after = await app.request('/v1/chat/completions', post(chat(), { 'x-request-id': 'two' }))
    expect(after.status).toBe(424)
    for (const response of [before, after]) {
      const text = await response.text()
      expect(text).toContain('"internal.error"')
      expect(text).not.toMatch(/secret|TypeError|at /)
      expect(response.headers.get('x-should-retry')).toBe('false')
    }
    expect(reported).toEqual([
      [boom, 'one'],
      [boom, 'two'],
    ])
  })
})

describe('GET /health', () => {
  it('says what the embassy says, and 503 where it would not serve', async () => {
    const ready = await fakeApp().app.request('/health')
    expect(ready.status).toBe(200)
    expect(await ready.json()).toEqual({ ready: true, reason: 'serving' })
    const status = async () => ({ ...STATUS, ready: false, reason: 'state.rollback' })
    const not = await fakeApp({ embassy: { status } }).app.request('/health')
    expect(not.status).toBe(503)
    expect(await not.json()).toEqual({ ready: false, reason: 'state.rollback' })
  })

  it.each(['embassy', 'acme', 'expired'] as const)(
    'says beside it that the certificate is %s, where a public one is asked for',
    async (certificate) => {
      const ready = await fakeApp({ certificate: () => certificate }).app.request('/health/ready')
      expect([ready.status, await ready.json()]).toEqual([
        200,
        { ready: true, reason: 'serving', certificate },
      ])
    },
  )

  it('is 503 while the embassy does not answer, and well again afterwards', async () => {
    let up = false
    const status = async () => {
      if (!up) throw new SealedError('embassy.unavailable', 'the embassy does not answer')
      return STATUS
    }
    const { app } = fakeApp({ embassy: { status } })
    const down = await app.request('/health')
    expect([down.status, await down.json()]).toEqual([
      503,
      { ready: false, reason: 'the embassy does not answer' },
    ])
    up = true
    expect((await app.request('/health')).status).toBe(200)
  })

  it('makes one call of many at once', async () => {
    let calls = 0
    const { app } = fakeApp({
      embassy: {
        status: async () => {
          calls++
          return STATUS
        },
      },
    })
    await Promise.all(Array.from({ length: 20 }, () => app.request('/health')))
    expect(calls).toBe(1)
  })
})

describe('GET /v1/models', () => {
  it('lists every model of every workload as OpenAI does', async () => {
    const response = await fakeApp().app.request('/v1/models')
    expect(await response.json()).toEqual({
      object: 'list',
      data: [
        { id: 'demo-small', object: 'model', created: 0, owned_by: 'demo' },
        { id: 'demo-large', object: 'model', created: 0, owned_by: 'demo' },
        { id: 'other-1', object: 'model', created: 0, owned_by: 'other' },
      ],
    })
  })

  it('is 503 with Retry-After while the embassy does not answer', async () => {
    const status = () => Promise.reject(new SealedError('embassy.unavailable', 'gone'))
    const response = await fakeApp({ embassy: { status } }).app.request('/v1/models')
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
  })
})

describe('which routes ask for a key', () => {
  it('are those that start sessions or list what there is', async () => {
    const apiKeys = [await keyEntry('sk-a', 'alice')]
    const { app, calls } = fakeApp({ apiKeys: () => apiKeys })
    for (const [path, method] of [
      ['/v1/sealed', 'POST'],
      ['/v1/chat/completions', 'POST'],
      ['/v1/completions', 'POST'],
      ['/v1/models', 'GET'],
    ] as const) {
      const response = await app.request(path, { method })
      expect(response.status, path).toBe(401)
      expect(response.headers.get('www-authenticate')).toBe('Bearer realm="sealed"')
      expect((await errorOf(response)).type).toBe('authentication_error')
    }
    for (const path of ['/health', '/v1/attestation', `/v1/receipts/${ID}`])
      expect((await app.request(path)).status, path).toBe(200)
    expect(calls).toEqual([])
  })
})
