// Every answer of every neutral test is held against the document (test-support/fakes.ts); here, that document and app
// have the same routes, and that holding an answer against it can fail.
// Mutants: a path left out of the document or of the app; a code left out of ENVELOPE, SESSION or KEYED; a header left
// out of RATE or SESSION_HEADERS.
import { CODES, type Code, ENVELOPE_TYPE, SealedError } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { createApp } from '../app.ts'
import { OPERATIONS, undocumented } from '../test-support/documented.ts'
import { chat, DIGEST, envelope, fakeApp, ID, keyEntry, NOW, post } from '../test-support/fakes.ts'

const ORIGIN = '0123456789abcdef'
const apiKeys = [await keyEntry('sk-a', 'a')]
const authorization = 'Bearer sk-a'
const { body: sealedBody } = await envelope(NOW)

const fill = (path: string) =>
  path
    .replace('{digest}', DIGEST)
    .replace('{id}', ID)
    .replace('{origin}', ORIGIN)
    .replace('{level}/{index}', '0/x001/234.p/17')
const json = { log: async () => new TextEncoder().encode('{}') }
const workloads = [
  {
    endpoints: ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'],
    models: ['demo-small'],
    name: 'demo',
    replicas_ready: 1,
  },
]
const status = async () => ({ ready: true, reason: '', workloads })
const ask = (
  app: ReturnType<typeof fakeApp>['app'],
  { method, path }: (typeof OPERATIONS)[number],
) => {
  if (method === 'GET') return app.request(fill(path), { headers: { authorization } })
  const isSealed = path === '/v1/sealed'
  const type = isSealed ? { 'content-type': ENVELOPE_TYPE } : {}
  return app.request(path, post(isSealed ? sealedBody : chat(), { ...type, authorization }))
}

describe('GET /openapi.json', () => {
  it('is a document of OpenAPI 3.1 in which every reference leads somewhere', async () => {
    const answer = await fakeApp().app.request('/openapi.json')
    expect(answer.headers.get('content-type')).toBe('application/json')
    const text = await answer.text()
    const document = JSON.parse(text)
    expect(document.openapi).toMatch(/^3\.1\.\d+$/)
    const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!)
    expect(references.length).toBeGreaterThan(50)
    for (const path of references)
      expect(
        path.split('/').reduce((at, name) => at?.[name], document),
        path,
      ).toBeDefined()
    for (const [path, item] of Object.entries<Record<string, object>>(document.paths))
      for (const [, name] of path.matchAll(/\{(\w+)\}/g))
        expect(JSON.stringify(item), `${path} ${name}`).toContain(`"name":"${name}","in":"path"`)
  })

  it('has every route of the app, and the app has every path of it', () => {
    const { deps } = fakeApp()
    const served = createApp(deps)
      .routes.filter(({ method, path }) => method !== 'ALL' && path !== '/log/*')
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    const documented = OPERATIONS.map(({ method, path }) => `${method} ${path}`)
    const log = documented.filter((one) => one.startsWith('GET /log/'))
    expect(documented.filter((one) => !log.includes(one)).sort()).toEqual(
      [...new Set(served)].sort(),
    )
    expect(log).toHaveLength(6)
  })

  it.each(OPERATIONS)('is right about $method $path where all is well', async (operation) => {
    const { app } = fakeApp({ embassy: { ...json, status }, apiKeys: () => apiKeys })
    expect((await ask(app, operation)).status).toBe(200)
  })

  it.each(OPERATIONS)(
    'is right about $method $path with other methods, without a key, over limits',
    async (operation) => {
      const { path } = operation
      const { app } = fakeApp({ embassy: { ...json, status }, apiKeys: () => apiKeys })
      expect(
        (await app.request(fill(path), { method: 'DELETE', headers: { authorization } })).status,
      ).toBe(405)
      const isKeyed = (await app.request(fill(path), { method: 'DELETE' })).status === 401
      const keys: Parameters<typeof fakeApp>[0] = { apiKeys: () => apiKeys }
      for (const parts of [
        { ...keys, limits: { requestsPerMinute: 1 } },
        { ...keys, limits: { callerRequests: 0 } },
        { ...keys, limits: { totalRequests: 0 } },
        {
          apiKeys: () => {
            throw new SealedError('config.invalid', 'x')
          },
        },
      ]) {
        const limited = fakeApp({ embassy: { ...json, status }, ...parts }).app
        if (isKeyed && 'limits' in parts && 'requestsPerMinute' in parts.limits!)
          await ask(limited, operation)
        const { status: got } = await ask(limited, operation)
        if (isKeyed) expect([429, 500, 503]).toContain(got)
      }
    },
  )

  /** What embassy and relay say to a gateway about a session; the others are of other doors, of clients, launches and files. */
  const SAID = (Object.keys(CODES) as Code[]).filter(
    (code) =>
      !/^(?:response|receipt|evidence|log|launch|reading|verdict|gateway|attestation|request|edge)\./.test(
        code,
      ),
  )
  const OF_ENVELOPES = /^(?:encoding|json|schema|fernet|envelope|instructions|registry)\./
  it.each(SAID)('is right about sessions that fail with %s', async (code) => {
    const fail = () => Promise.reject(new SealedError(code, 'x'))
    const { app } = fakeApp({
      embassy: { status },
      relay: { plain: fail, sealed: fail },
      apiKeys: () => apiKeys,
    })
    for (const path of ['/v1/sealed', '/v1/chat/completions'])
      if (path === '/v1/sealed' || !OF_ENVELOPES.test(code)) {
        const answer = await ask(app, { method: 'POST', path })
        expect(await answer.json()).toMatchObject({ error: { code } })
      }
  })

  it.each(['embassy.unavailable', 'internal.error', undefined] as const)(
    'is right about all that asks an embassy which fails with %s',
    async (code) => {
      const fail = () => Promise.reject(code ? new SealedError(code, 'x') : new Error('x'))
      const { app } = fakeApp({
        embassy: {
          attestation: fail,
          document: fail,
          log: fail,
          overview: fail,
          proof: fail,
          receipt: fail,
          status: fail,
        },
        apiKeys: () => apiKeys,
      })
      for (const operation of OPERATIONS) await ask(app, operation)
    },
  )
})

describe('an answer that is held against the document', () => {
  const good = { 'x-request-id': 'x', 'content-type': 'application/json' }
  it.each([
    ['a path that is not there', '/v1/nothing', Response.json({}, { headers: good })],
    ['a status that is not there', '/v1/models', Response.json({}, { status: 418, headers: good })],
    [
      'a header that is not there',
      '/health/live',
      Response.json({ live: true }, { headers: { ...good, 'sealed-salt': 'x' } }),
    ],
    [
      'a header of another form',
      '/v1/models',
      Response.json(
        { object: 'list', data: [] },
        { headers: { ...good, 'x-ratelimit-limit-requests': '1', 'retry-after': 'soon' } },
      ),
    ],
    ['a body of another form', '/health/live', Response.json({ live: false }, { headers: good })],
    [
      'a member too many',
      '/v1/models',
      Response.json({ object: 'list', data: [], more: 1 }, { headers: good }),
    ],
    [
      'another media type',
      '/v1/models',
      new Response('x', { headers: { ...good, 'content-type': 'text/plain' } }),
    ],
    [
      'a code that this status does not have',
      '/v1/models',
      Response.json(
        { error: { message: 'x', type: 'x', code: 'workload.failed', param: null } },
        { status: 503, headers: good },
      ),
    ],
    [
      'an error of another form',
      '/v1/models',
      Response.json({ error: 'x' }, { status: 503, headers: good }),
    ],
  ])('may have %s', async (_, path, answer) => {
    expect(await undocumented('GET', path, answer)).not.toEqual([])
  })
})
