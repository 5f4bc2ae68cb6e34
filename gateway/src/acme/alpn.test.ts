import { once } from 'node:events'
import { request } from 'node:https'
import forge from 'node-forge'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RunningServer, startServer } from '../node/server.ts'
import { TestCa } from '../test-support/acme-ca.ts'
import { shake, validate } from '../test-support/acme-validate.ts'
import { Challenges } from './alpn.ts'
import { proofOf } from './challenge.ts'

const NAME = 'api.example.org'
const AUTHORIZATION = 'token.thumbprint'
const HTTP = `GET / HTTP/1.1\r\nHost: ${NAME}\r\nConnection: close\r\n\r\n`

let ca: TestCa
let server: RunningServer
let challenges: Challenges
let own: { key: string; cert: string }
let served: number
/** Lets the held answer end. */
let release: () => void
beforeAll(() => {
  ca = new TestCa()
  own = ca.server('gateway.test')
})
beforeEach(async () => {
  challenges = new Challenges()
  served = 0
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  server = await startServer({
    fetch: (incoming) => {
      served += 1
      if (!incoming.url.endsWith('/held')) return new Response('served')
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      const writer = writable.getWriter()
      void writer.write(new TextEncoder().encode('first;'))
      void held
        .then(() => writer.write(new TextEncoder().encode('last')))
        .then(() => writer.close())
      return new Response(readable)
    },
    host: '127.0.0.1',
    port: 0,
    tls: { key: own.key, certificate: own.cert, challenges },
  })
})
afterEach(() => server.close(0))

const open = async (name = NAME) => {
  const authorization = { identifier: { type: 'dns', value: name } } as Parameters<
    typeof proofOf
  >[0]
  return challenges.open(name, await proofOf(authorization, AUTHORIZATION))
}
const acme = (servername: string | undefined, more: Partial<Parameters<typeof shake>[0]> = {}) =>
  shake({
    port: server.address.port,
    ...(servername !== undefined && { servername }),
    protocols: ['acme-tls/1'],
    ...more,
  })
const REFUSED = { protocol: undefined, certificate: undefined, received: '' }

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('a challenge over %s', (version) => {
  it('is answered while its name is being validated, and never outside of that', async () => {
    const { port } = server.address
    expect(await acme(NAME, { version })).toEqual(REFUSED)
    const close = await open()
    expect(await validate(port, NAME, AUTHORIZATION, version)).toBeUndefined()
    expect(await validate(port, NAME, 'token.of-another-account', version)).toBe(
      'wrong acmeIdentifier',
    )
    close()
    expect(await acme(NAME, { version })).toEqual(REFUSED)
  })

  it('is answered for its name alone', async () => {
    await open()
    for (const other of ['www.example.org', 'gateway.test', `a.${NAME}`, undefined])
      expect(await acme(other, { version })).toEqual(REFUSED)
    expect((await acme(NAME.toUpperCase(), { version })).protocol).toBe('acme-tls/1')
  })

  it('is not answered beside another protocol', async () => {
    await open()
    for (const protocols of [
      ['acme-tls/1', 'http/1.1'],
      ['http/1.1', 'acme-tls/1'],
      ['acme-tls/2'],
    ])
      expect(await acme(NAME, { version, protocols })).toEqual(REFUSED)
  })

  it('carries no HTTP', async () => {
    await open()
    const { protocol, received } = await acme(NAME, { version, say: HTTP })
    expect([protocol, received, served]).toEqual(['acme-tls/1', '', 0])
  })

  it('leaves ordinary connections as they are, with their own certificate', async () => {
    await open()
    for (const protocols of [['http/1.1'], ['h2', 'http/1.1'], undefined]) {
      const { certificate, received } = await shake({
        port: server.address.port,
        servername: NAME,
        version,
        say: HTTP,
        ...(protocols && { protocols }),
      })
      expect(received).toMatch(/^HTTP\/1\.1 200 /)
      expect(certificate?.subjectAltName).toBe('DNS:gateway.test')
    }
    expect(await acme(NAME, { version, protocols: ['h2'] })).toEqual(REFUSED)
  })
})

describe('a challenge', () => {
  it('that was opened again outlives the end of the first', async () => {
    const first = await open()
    await open()
    first()
    expect(await validate(server.address.port, NAME, AUTHORIZATION)).toBeUndefined()
  })
})

describe('another certificate', () => {
  it('is served from the next handshake on, and ends no stream', async () => {
    const { port } = server.address
    const outgoing = request({
      port,
      path: '/held',
      ca: ca.root,
      servername: 'gateway.test',
      agent: false,
    })
    outgoing.end()
    const [incoming] = await once(outgoing, 'response')
    const pieces = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    expect(String((await pieces.next()).value)).toBe('first;')
    const before = (await shake({ port, say: HTTP })).certificate!
    const certificate = ca.issue(forge.pki.certificateFromPem(own.cert).publicKey, ['gateway.test'])
    server.setCertificate(certificate)
    const after = (await shake({ port, say: HTTP })).certificate!
    expect(after.serialNumber).not.toBe(before.serialNumber)
    expect(after.publicKey.equals(before.publicKey)).toBe(true)
    expect((await shake({ port, version: 'TLSv1.2', say: HTTP })).received).toMatch(
      /^HTTP\/1\.1 200 /,
    )
    release()
    expect(String((await pieces.next()).value)).toBe('last')
    expect((await pieces.next()).done).toBe(true)
  })
})
