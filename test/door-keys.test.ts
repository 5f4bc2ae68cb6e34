// A gateway that asks for API keys and speaks TLS with the certificate that its embassy issued: who is let in, under
// which name, and how a client knows that the connection ends inside the machine that was attested.
import { execFile } from 'node:child_process'
import { createHash, createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ask, attest, createApiKey, GatewayFailure } from '@sealed/client'
import { parsePolicy, utf8 } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import type { Instance } from '../scripts/up.ts'
import { httpsFetch } from './support/https-fetch.ts'
import {
  CHAT,
  eventually,
  type Reply,
  readReply,
  statementOf,
  upAside,
} from './support/instance.ts'

let instance: Instance
/** Trusts the embassy's issuer alone. */
let trusting: ReturnType<typeof httpsFetch>
const keys = { first: '', second: '' }

beforeAll(async () => {
  const made = await Promise.all([createApiKey('key-0'), createApiKey('key-1')])
  keys.first = made[0].apiKey
  keys.second = made[1].apiKey
  const apiKeys = made.map(({ entry }) => entry)
  instance = await upAside({ workload: 'noop', tls: 'embassy', apiKeys })
  const ca = await readFile(join(instance.paths.runtime, 'tls', 'cert.pem'), 'utf8')
  trusting = httpsFetch({ ca })
})
afterAll(() => instance?.stop())

const call = async (path: string, init: RequestInit = {}): Promise<Reply> =>
  readReply(await trusting.fetch(instance.url + path, init))
const chat = (headers: Record<string, string>) =>
  call(CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'noop', messages: [] }),
  })

describe('TLS', () => {
  test('ends at a key that the attested key set names', async () => {
    const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
    const attested = await attest({ url: instance.url, policy, fetch: trusting.fetch })
    expect(attested.verdict.outcome).toBe('verified')
    const spki = trusting.met().publicKey.export({ format: 'der', type: 'spki' })
    expect(attested.document.key_set.tls_spki_digest).toBe(
      createHash('sha256').update(spki).digest('hex'),
    )
    expect(trusting.met().subjectAltName).toMatch(/localhost/)
  })

  test('is not left for plain HTTP', async () => {
    const plain = instance.url.replace('https:', 'http:')
    await expect(fetch(`${plain}/health`)).rejects.toThrow()
  })
})

describe('an API key', () => {
  test('is asked for where something is done, and nowhere else', async () => {
    for (const path of ['/health', '/v1/attestation']) expect((await call(path)).status).toBe(200)
    expect((await call(`/v1/receipts/${'0'.repeat(32)}`)).status).toBe(404)
    for (const path of ['/v1/models', '/v1/sealed', CHAT, '/v1/completions']) {
      const reply = await call(path)
      expect([reply.status, reply.code]).toEqual([401, 'request.unauthorized'])
      expect(reply.headers.get('www-authenticate')).toMatch(/^Bearer /)
    }
  })

  test.each([
    ['none', {}],
    ['an unknown one', { authorization: `Bearer sk-${'A'.repeat(43)}` }],
    ['another scheme', { authorization: 'Basic a2V5' }],
    ['an empty one', { authorization: 'Bearer ' }],
  ])('%s: 401', async (_, headers) => {
    const reply = await chat(headers as Record<string, string>)
    expect([reply.status, reply.code]).toEqual([401, 'request.unauthorized'])
    expect(JSON.parse(reply.text).error.type).toBe('authentication_error')
  })

  test('with a changed character, or in front of another one, is unknown', async () => {
    const changed = `${keys.first.slice(0, -1)}${keys.first.endsWith('A') ? 'B' : 'A'}`
    for (const key of [changed, `${keys.first}A`, `${keys.first}, ${keys.second}`])
      expect((await chat({ authorization: `Bearer ${key}` })).status).toBe(401)
  })

  test('gives the caller a name in the receipt, as a digest under the salt', async () => {
    for (const [i, key] of [keys.first, keys.second].entries()) {
      const reply = await chat({ authorization: `Bearer ${key}` })
      expect(reply.status).toBe(200)
      const salt = Buffer.from(reply.headers.get('sealed-salt')!, 'base64url')
      const named = createHash('sha256').update(`caller\0key-${i}`).digest()
      const digest = createHmac('sha256', salt).update(named).digest('hex')
      expect(statementOf(reply.receipt!, 'request.received').caller).toBe(digest)
    }
  })

  test('goes with an envelope, and its absence is a failure with a code', async () => {
    const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
    const options = { url: instance.url, policy, fetch: trusting.fetch }
    const body = utf8(JSON.stringify({ model: 'noop', messages: [] }))
    const attested = await attest({ ...options, apiKey: keys.first })
    const answer = await ask({ attested, endpoint: CHAT, body })
    expect(answer.verdict.outcome).toBe('verified')
    const without = ask({ attested: await attest(options), endpoint: CHAT, body })
    const failure = (await without.catch((error: unknown) => error)) as GatewayFailure
    expect(failure).toBeInstanceOf(GatewayFailure)
    expect(failure).toMatchObject({ code: 'request.unauthorized', status: 401 })
    expect(failure.evidence).toBeUndefined()
  })

  test('that is made while the gateway runs is taken, and refused once it is revoked', async () => {
    const config = ['--config', instance.paths.config]
    const run = promisify(execFile)
    const sealed = join(REPOSITORY, 'client', 'bin', 'sealed.ts')
    const created = await run(process.execPath, [sealed, 'key', 'create', 'late', ...config])
    const headers = { authorization: `Bearer ${created.stdout.trim()}` }
    const until = (status: number) =>
      eventually(`${status}`, async () => {
        const reply = await chat(headers)
        return reply.status === status ? reply : undefined
      })
    const answered = await until(200)
    expect(answered.headers.get('x-ratelimit-limit-requests')).toBe('600')
    await run(process.execPath, [sealed, 'key', 'revoke', 'late', ...config])
    expect((await until(401)).code).toBe('request.unauthorized')
    expect((await chat({ authorization: `Bearer ${keys.first}` })).status).toBe(200)
  })

  test('is in no file of the instance', async () => {
    const { config, keys: file, logs } = instance.paths
    for (const path of [config, file, join(logs, 'embassy.log'), join(logs, 'gateway.log')])
      expect(await readFile(path, 'utf8')).not.toContain(keys.first)
  })
})
