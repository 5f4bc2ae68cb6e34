import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Serving, serving } from '../test-support/serving.ts'
import { type Call, json, RequestError } from './openai-server.ts'

let server: Serving
let calls: Call[]
let behave: (call: Call) => Promise<void>

beforeEach(async () => {
  calls = []
  behave = async ({ response }) => json(response, 200, { ok: true })
  server = await serving({
    model: 'some-model',
    complete(call) {
      calls.push(call)
      return behave(call)
    },
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  return server.close()
})

const get = async (path: string) => {
  const response = await fetch(server.url + path)
  return { status: response.status, body: await response.json() }
}

test('says that it lives and which model it serves', async () => {
  expect(await get('/health')).toEqual({ status: 200, body: { status: 'ok' } })
  const models = await get('/v1/models')
  expect(models.body).toMatchObject({ object: 'list', data: [{ id: 'some-model' }] })
  expect(await get('/reach')).toEqual({ status: 200, body: {} })
})

test.each([
  ['{"model": ', 400, 'invalid_json', null],
  ['[]', 400, 'invalid_json', null],
  ['null', 400, 'invalid_json', null],
  ['', 400, 'invalid_json', null],
  ['{"model":"another"}', 404, 'model_not_found', 'model'],
])('refuses the body %s', async (body, status, code, param) => {
  const response = await server.post(body)
  expect(response.status).toBe(status)
  expect(await response.json()).toEqual({
    error: { message: expect.any(String), type: 'invalid_request_error', code, param },
  })
  expect(calls).toEqual([])
})

test('an unknown path is not found', async () => {
  expect(await get('/v1/embeddings')).toMatchObject({
    status: 404,
    body: { error: { code: 'not_found' } },
  })
  const response = await server.post({}, { path: '/health' })
  expect(response.status).toBe(404)
})

test('answers a body that is too large before it is all there, and ends the connection', async () => {
  const { port } = new URL(server.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n')
  socket.write(Buffer.alloc(4 * 1024 * 1024 + 1, 0x20))
  let heard = ''
  socket.on('data', (data) => {
    heard += data
  })
  socket.on('error', () => undefined)
  await once(socket, 'close')
  expect(heard).toMatch(/^HTTP\/1.1 413 /)
  expect(heard).toMatch(/connection: close/i)
  expect(heard).toContain('"request_too_large"')
  expect(calls).toEqual([])
})

test("a workload's own refusal has its status and code; anything else is 500 and says nothing", async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  behave = async () => {
    throw new RequestError(429, 'busy', 'come back later', 'prompt')
  }
  const refused = await server.post({})
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ error: { code: 'busy', param: 'prompt' } })
  behave = async () => {
    throw new Error('a secret')
  }
  const failed = await server.post({})
  expect(failed.status).toBe(500)
  expect(await failed.text()).not.toContain('secret')
})

test('serves one request at a time', async () => {
  const log: string[] = []
  const gate = Promise.withResolvers<void>()
  behave = async ({ body, response }) => {
    log.push(`start ${body.n}`)
    await gate.promise
    log.push(`end ${body.n}`)
    json(response, 200, {})
  }
  let arrived = 0
  server.server.on('request', ({ method }) => {
    if (method === 'POST') arrived += 1
  })
  const answers = [0, 1, 2].map((n) => server.post({ n }))
  await vi.waitUntil(() => arrived === 3 && log.length > 0)
  await get('/health')
  expect(log).toHaveLength(1)
  gate.resolve()
  await Promise.all(answers)
  for (let i = 0; i < 6; i += 2) expect(log[i + 1]).toBe(log[i]?.replace('start', 'end'))
})

test('a client that leaves while it waits costs nothing, and one being served is told', async () => {
  const first = Promise.withResolvers<void>()
  behave = async ({ signal, response }) => {
    if (calls.length > 1) return json(response, 200, {})
    first.resolve()
    await once(signal, 'abort')
  }
  const [serving1, waiting] = [new AbortController(), new AbortController()]
  const served = server.post({}, { signal: serving1.signal }).catch(() => 'gone')
  await first.promise
  const left = server.post({ waiting: true }, { signal: waiting.signal }).catch(() => 'gone')
  await get('/health')
  waiting.abort()
  expect(await left).toBe('gone')
  await get('/health')
  serving1.abort()
  expect(await served).toBe('gone')
  expect((await server.post({ last: true })).status).toBe(200)
  expect(calls.map(({ body }) => body)).toEqual([{}, { last: true }])
})
