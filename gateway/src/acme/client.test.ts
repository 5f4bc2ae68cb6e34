// Mutants tried, here and in alpn.test.ts and renewal.test.ts: each check of `acceptCertificate` left out, and the whole of
// it; challenges open for any name, beside other protocols, after their time, or followed by HTTP; names and their number
// not held against what was asked for; plain HTTP, redirects, endless and silent answers let through, roots not looked at;
// each clause of `refuseFailure`; waits without bound, without what was asked for or what was pending; expiry told twice;
// `setCertificate` that does nothing.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
} from 'node:crypto'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import forge from 'node-forge'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RunningServer, startServer } from '../node/server.ts'
import { TestCa } from '../test-support/acme-ca.ts'
import { problem } from '../test-support/acme-jws.ts'
import { AcmeServer } from '../test-support/acme-server.ts'
import { shake } from '../test-support/acme-validate.ts'
import { Challenges } from './alpn.ts'
import { type OrderDeps, obtainCertificate } from './client.ts'
import { AcmeFailure } from './failure.ts'
import { type AcmeHttp, retryAfter, useHttp } from './http.ts'

const NAMES = ['api.example.org', 'www.example.org']
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const spki = createHash('sha256')
  .update(createPublicKey(pair.privateKey).export({ type: 'spki', format: 'der' }))
  .digest('hex')
const newAccount = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string

let ca: TestCa
let acme: AcmeServer
let gateway: RunningServer
let http: AcmeHttp
let challenges: Challenges
let stopping: AbortController
let pauses: number[]
beforeAll(() => {
  ca = new TestCa()
})
beforeEach(async () => {
  acme = await AcmeServer.start(ca)
  challenges = new Challenges()
  const { key, cert } = ca.server('gateway.test')
  gateway = await startServer({
    fetch: () => new Response('served'),
    host: '127.0.0.1',
    port: 0,
    tls: { key, certificate: cert, challenges },
  })
  acme.gatewayPort = gateway.address.port
  stopping = new AbortController()
  http = useHttp(stopping.signal, ca.root)
  pauses = []
})
afterEach(async () => {
  await http.close()
  await gateway.close(0)
  await acme.close()
})

const obtain = (deps: Partial<OrderDeps> = {}) =>
  obtainCertificate({
    settings: { contact: ['mailto:ops@example.org'], directory: acme.directory, names: NAMES },
    accountKey: newAccount(),
    key: pair.privateKey,
    challenges,
    clock: Date.now,
    pause: async (ms) => void pauses.push(ms),
    ...deps,
  })
const at = (directory: string) => obtain({ settings: { contact: [], directory, names: NAMES } })
const failureOf = async (work: Promise<unknown>): Promise<AcmeFailure> => {
  const error = await work.catch((error: unknown) => error)
  expect(error).toBeInstanceOf(AcmeFailure)
  return error as AcmeFailure
}

describe('an order', () => {
  it('ends in a certificate of the gateway’s key, for all names, and leaves no challenge open', async () => {
    acme.slowLooks = 3
    const { chain, notAfter } = await obtain()
    const leaf = new X509Certificate(chain)
    expect(
      leaf.checkPrivateKey(
        createPrivateKey(pair.privateKey.export({ type: 'pkcs1', format: 'pem' })),
      ),
    ).toBe(true)
    expect(leaf.subjectAltName).toBe('DNS:api.example.org, DNS:www.example.org')
    expect(notAfter).toBe(leaf.validToDate.getTime())
    expect(acme.requested).toEqual([spki])
    // One look at the proofs, four at the certificate.
    expect(pauses).toEqual([250, 250, 500, 1000])
    for (const servername of NAMES)
      expect(
        (await shake({ port: gateway.address.port, servername, protocols: ['acme-tls/1'] }))
          .protocol,
      ).toBeUndefined()
  })

  it('is made anew with one account', async () => {
    const accountKey = newAccount()
    await obtain({ accountKey })
    await obtain({ accountKey })
    expect([acme.accounts, acme.orders]).toEqual([1, 2])
  })

  it('goes on where a nonce is refused', async () => {
    acme.badNonces = 1
    await obtain()
    expect(acme.requests.filter((one) => one === 'POST /account')).toHaveLength(2)
  })

  it('does not go on for ever where every nonce is', async () => {
    acme.badNonces = 1_000
    expect(await failureOf(obtain())).toMatchObject({ reason: 'refused' })
    expect(acme.requests.length).toBeLessThan(20)
  })

  it('tells who the operator is at the server, where that is asked for', async () => {
    acme.external = { keyId: 'kid-1', hmacKey: 'c2VjcmV0LXNlY3JldC1zZWNyZXQ_-w' }
    expect(await failureOf(obtain())).toMatchObject({ reason: 'refused' })
    const other = { kid: 'kid-1', hmacKey: 'b3RoZXI' }
    expect(await failureOf(obtain({ external: other }))).toMatchObject({ reason: 'refused' })
    await obtain({ external: { kid: 'kid-1', hmacKey: acme.external.hmacKey } })
  })
})

describe('an order that fails', () => {
  it('at validation says what the server saw', async () => {
    // Where nobody speaks it.
    acme.gatewayPort = Number(new URL(acme.origin).port)
    const failure = await failureOf(obtain())
    expect(failure.reason).toBe('order_invalid')
    expect(failure.message).toContain('api.example.org: no acme-tls/1 is spoken')
  })

  it.each([
    ['429', problem(429, 'rateLimited', 'too many', '3600'), 'rate_limited', 3_600_000],
    ['rateLimited alone', problem(403, 'rateLimited', 'too many', '60'), 'rate_limited', 60_000],
    ['503', problem(503, 'serverInternal', 'later', '7'), 'unreachable', 7_000],
    ['500', problem(500, 'serverInternal', 'oops'), 'unreachable', undefined],
    ['403', problem(403, 'rejectedIdentifier', 'not you\u0007'), 'refused', undefined],
  ])('with %s is asked for once, and later', async (_, answer, reason, retryAfterMs) => {
    acme.instead.set('/order', answer)
    const failure = await failureOf(obtain())
    expect(failure).toMatchObject({ reason, retryAfterMs })
    expect(failure.message).toContain(answer.detail.replace('\u0007', ' '))
    expect(acme.requests.filter((one) => one === 'POST /order')).toHaveLength(1)
    expect(pauses).toEqual([])
  })

  it('because nobody is there', async () => {
    const gone = await AcmeServer.start(ca)
    const { directory } = gone
    await gone.close()
    const failure = await failureOf(at(directory))
    expect(failure.reason).toBe('unreachable')
    expect(failure.message).toMatch(/127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/)
  })

  it('because the server’s certificate is not under the roots that are given', async () => {
    await http.close()
    http = useHttp(stopping.signal, new TestCa().root)
    expect(await failureOf(obtain())).toMatchObject({ reason: 'unreachable' })
    expect(acme.requests).toEqual([])
    await http.close()
    http = useHttp(stopping.signal, undefined)
    expect(await failureOf(obtain())).toMatchObject({ reason: 'unreachable' })
  })

  it('because it never ends', async () => {
    acme.slowLooks = 1_000
    expect(await failureOf(obtain())).toMatchObject({ reason: 'order_invalid' })
    expect(pauses).toHaveLength(51)
    expect(Math.max(...pauses)).toBe(5_000)
  })

  it('because the server wants other names proved, or more', async () => {
    acme.needed = () => ['api.example.org', 'admin.example.org']
    expect(await failureOf(obtain())).toMatchObject({ reason: 'refused' })
    acme.needed = (names) => [...names, ...names]
    expect(await failureOf(obtain())).toMatchObject({ reason: 'refused' })
    expect(acme.requests.some((one) => one.includes('challenge'))).toBe(false)
  })

  it('at once where the gateway stops', async () => {
    const work = obtain({ pause: async () => stopping.abort() })
    await expect(work).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('a certificate', () => {
  const own = () =>
    forge.pki.publicKeyFromPem(pair.publicKey.export({ type: 'spki', format: 'pem' }) as string)
  const leafOf = (chain: string) => chain.slice(0, chain.indexOf('-----BEGIN', 1))
  const aboveOf = (chain: string) => chain.slice(leafOf(chain).length)

  it.each([
    ['for another key', (names: string[]) => ca.strange(names), 'another key'],
    [
      'that has expired',
      (names: string[]) => ca.issue(own(), names, { from: -2_000, to: -1_000 }),
      'has expired',
    ],
    ['that lacks a name', () => ca.issue(own(), [NAMES[0]!]), 'is not for www.example.org'],
    [
      'that issues others',
      (names: string[]) => ca.issue(own(), names, undefined, true),
      'issues others',
    ],
    [
      'under a stranger',
      (names: string[]) => leafOf(ca.issue(own(), names)) + aboveOf(new TestCa().strange(names)),
      'not signed by what follows',
    ],
    [
      'behind those above it',
      (names: string[]) => aboveOf(ca.strange(names)) + leafOf(ca.issue(own(), names)),
      'another key',
    ],
    ['that is none', () => 'hello', 'is no chain'],
    [
      'that is garbage',
      () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'is no chain',
    ],
  ])('%s is refused', async (_, issue, message) => {
    acme.issue = issue
    const failure = await failureOf(obtain())
    expect(failure.reason).toBe('certificate')
    expect(failure.message).toContain(message)
  })
})

describe('the HTTP below', () => {
  const limited = async (limits: { requestMs: number; answerBytes: number }) => {
    await http.close()
    http = useHttp(stopping.signal, ca.root, limits)
  }

  it('refuses an answer that is too large', async () => {
    await limited({ requestMs: 30_000, answerBytes: 2_000 })
    acme.instead.set('/directory', { text: `{"newNonce":"${'x'.repeat(2_000)}"}` })
    expect(await failureOf(obtain())).toMatchObject({ reason: 'unreachable' })
    await obtain().catch(() => {})
    expect(acme.requests).toContain('POST /account')
  })

  it('gives up a server that takes a connection and says nothing, or never ends', async () => {
    await limited({ requestMs: 100, answerBytes: 2_000 })
    for (const begin of [false, true]) {
      const silent: Server = createServer(ca.server('127.0.0.1'), (_, outgoing) => {
        if (begin) outgoing.write('{')
      })
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
      const directory = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`
      expect(await failureOf(at(directory))).toMatchObject({ reason: 'unreachable' })
      silent.closeAllConnections()
      await new Promise((resolve) => silent.close(resolve))
    }
  })

  it('follows the server neither off TLS nor elsewhere', async () => {
    acme.address = (path) => `${acme.origin.replace('https', 'http')}${path}`
    const failure = await failureOf(obtain())
    expect(failure.message).toContain('without TLS')
    acme.address = (path) => acme.origin + path
    const moved = { status: 302, headers: { location: `${acme.origin}/elsewhere` } }
    acme.instead.set('/directory', moved)
    expect((await failureOf(obtain())).message).toContain('answered 302')
    expect(acme.requests).not.toContain('GET /elsewhere')
  })

  it('reads how long to wait', () => {
    const now = Date.parse('2026-01-01T00:00:00Z')
    expect(retryAfter('120', now)).toBe(120_000)
    expect(retryAfter('Thu, 01 Jan 2026 00:02:00 GMT', now)).toBe(120_000)
    expect(retryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
    for (const other of [undefined, '', 'soon', '1e9x'])
      expect(retryAfter(other, now)).toBeUndefined()
  })
})
