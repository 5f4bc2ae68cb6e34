import { canonicalBytes, sha256Hex, utf8 } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { createApiKey } from './api-key.ts'
import { Gateway } from './gateway.ts'
import { fetchDocument, fetchReceipt } from './receipts.ts'
import { errorResponse } from './test-support/gateway-double.ts'
import { MachineDouble, NOW } from './test-support/machine-double.ts'

const url = 'http://127.0.0.1:8080'
const answering = (answer: () => Response | Promise<Response>) =>
  new Gateway({ url, fetch: async () => answer() })

describe('Gateway', () => {
  it.each([
    '',
    'localhost:8080',
    'ftp://host',
    'http://a:b@host',
    'http://host/?q',
    'http://host/#f',
  ])('refuses the URL %j', (bad) => {
    expect(() => new Gateway({ url: bad })).toThrow(/http\(s\):\/\/host/)
  })

  it('carries an API key over plain HTTP to the loopback only', () => {
    const apiKey = 'sk-sealed-secret'
    for (const local of ['http://127.0.0.1:1', 'http://localhost', 'http://[::1]:2'])
      expect(new Gateway({ url: local, apiKey }).url).toBe(local)
    expect(new Gateway({ url: 'https://example.invalid/', apiKey }).url).toBe(
      'https://example.invalid',
    )
    for (const far of ['http://example.invalid', 'http://127.0.0.1.example.invalid'])
      expect(() => new Gateway({ url: far, apiKey })).toThrow(/in clear/)
    expect(() => new Gateway({ url: 'http://example.invalid', apiKey })).not.toThrow(/secret/)
  })

  it('gives the server’s code, message, param and wait', async () => {
    const body = {
      error: { message: 'no', type: 't', code: 'workload.unknown', param: 'workload' },
    }
    const headers = { 'retry-after': '7' }
    await expect(
      answering(() => Response.json(body, { status: 404, headers })).get('/x', 10),
    ).rejects.toMatchObject({
      code: 'workload.unknown',
      message: 'no',
      param: 'workload',
      retryAfterMs: 7000,
      status: 404,
    })
  })

  it.each([
    [401, 'request.unauthorized'],
    [404, 'request.not_found'],
    [418, 'request.invalid'],
    [429, 'limit.caller'],
    [502, 'internal.error'],
    [503, 'embassy.unavailable'],
  ])('makes %i with a foreign body %s', async (status, code) => {
    for (const body of ['<html>', '{"error":"x"}', '{"error":{"code":"workload.unknown"}}', 'null'])
      await expect(
        answering(() => new Response(body, { status })).get('/x', 10),
      ).rejects.toMatchObject({ code, status })
  })

  it('keeps to its own codes when the server’s is unknown to it', async () => {
    const answer = () => errorResponse(400, 'constructor', 'odd')
    await expect(answering(answer).get('/x', 10)).rejects.toMatchObject({
      code: 'request.invalid',
      message: 'odd',
    })
  })

  it('reads no more than it was told to', async () => {
    const answer = () => new Response('12345')
    expect(await answering(answer).get('/x', 5)).toEqual(utf8('12345'))
    await expect(answering(answer).get('/x', 4)).rejects.toMatchObject({ code: 'response.invalid' })
  })

  it('says so when the connection breaks inside an answer', async () => {
    const body = () =>
      new ReadableStream<Uint8Array>({ pull: (c) => c.error(new TypeError('terminated')) })
    await expect(answering(() => new Response(body())).get('/x', 5)).rejects.toMatchObject({
      code: 'gateway.unreachable',
      message: `the connection to ${url}/x broke`,
    })
  })

  it('names the address and the system’s reason when nothing answers', async () => {
    const refused = () => Promise.reject(new TypeError('x', { cause: { code: 'ECONNREFUSED' } }))
    await expect(answering(refused).get('/v1/x?nonce=1', 1)).rejects.toMatchObject({
      code: 'gateway.unreachable',
      message: `nothing answers at ${url}/v1/x (ECONNREFUSED)`,
    })
  })
})

describe('what a gateway keeps', () => {
  it('refuses a document other than the one asked for, however well made', async () => {
    const machine = await MachineDouble.create()
    const gateway = answering(() => new Response(canonicalBytes(machine.document)))
    expect(await fetchDocument(gateway, machine.digest)).toEqual(machine.document)
    await expect(fetchDocument(gateway, '00'.repeat(32))).rejects.toMatchObject({
      code: 'evidence.invalid',
    })
  })

  it('asks for receipts by a well-formed id only', async () => {
    const gateway = answering(() => new Response('AAAA\n'))
    expect(await fetchReceipt(gateway, 'ab'.repeat(16))).toBe('AAAA')
    await expect(fetchReceipt(gateway, '../x')).rejects.toMatchObject({ code: 'request.invalid' })
  })
})

describe('API keys', () => {
  it('are 32 random bytes, known by the digest of their text', async () => {
    const { apiKey, entry } = await createApiKey('me', NOW)
    expect(apiKey).toMatch(/^sk-sealed-[A-Za-z0-9_-]{43}$/)
    expect(entry).toEqual({
      created_ms: NOW,
      name: 'me',
      digest: await sha256Hex(utf8(apiKey)),
    })
  })
})
