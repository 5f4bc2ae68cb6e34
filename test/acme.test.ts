// A gateway that gets a public certificate from an ACME server for the very key that its embassy attested: an instance as
// `npm start` runs it, and an ACME server of the test's own that checks what a real one would.
// Mutants: `acceptCertificate` without its look at the key, `setCertificate` that does nothing, `AcmeFiles.certificate`
// that finds none, `keepFromHttp` left out.
import { createHash, type X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { type Attested, attest, type Fetch } from '@sealed/client'
import { parsePolicy } from '@sealed/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { TestCa } from '../gateway/src/test-support/acme-ca.ts'
import { problem } from '../gateway/src/test-support/acme-jws.ts'
import { AcmeServer } from '../gateway/src/test-support/acme-server.ts'
import { shake } from '../gateway/src/test-support/acme-validate.ts'
import { undocumented } from '../gateway/src/test-support/documented.ts'
import type { Instance } from '../scripts/up.ts'
import { CHAT, eventually, upAside } from './support/instance.ts'
import { kill } from './support/software-tpm.ts'

const NAME = 'api.example.org'
const USER = 64101

const ca = new TestCa()
let acme: AcmeServer
let instance: Instance
let directory: string
/** Lets the ACME server look at the gateway. */
let mayValidate: (port: number) => void

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-acme-'))
  const roots = join(directory, 'roots.pem')
  await writeFile(roots, ca.root, { mode: 0o600 })
  acme = await AcmeServer.start(ca)
  acme.badNonces = 1
  acme.gatewayPort = new Promise((resolve) => {
    mayValidate = resolve
  })
  instance = await upAside({
    workload: 'noop',
    tls: {
      mode: 'acme',
      contact: ['mailto:ops@example.org'],
      directory: acme.directory,
      names: [NAME],
      roots,
      terms_agreed: true,
    },
  })
})
afterAll(async () => {
  await instance?.stop()
  await acme?.close()
  await rm(directory, { recursive: true })
})

const portNow = async () =>
  Number(new URL(await readFile(join(instance.paths.runtime, 'gateway', 'url'), 'utf8')).port)
const tlsFile = (name: string) => join(instance.paths.runtime, 'tls', name)
const embassyIssued = () => readFile(tlsFile('cert.pem'), 'utf8')

interface Asked {
  incoming: IncomingMessage
  certificate: X509Certificate
}
/** A request to the gateway by its public name, trusting `root` alone. */
async function open(path: string, root: string, init: RequestInit = {}): Promise<Asked> {
  const outgoing = request({
    host: '127.0.0.1',
    port: await portNow(),
    path,
    method: init.method ?? 'GET',
    headers: { host: NAME, ...Object.fromEntries(new Headers(init.headers)) },
    ca: root,
    servername: NAME,
    agent: false,
  })
  outgoing.end(init.body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  return { incoming, certificate: (incoming.socket as TLSSocket).getPeerX509Certificate()! }
}
const textOf = async (incoming: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const part of incoming) text += part
  return text
}
const trusting =
  (root: string): Fetch =>
  async (url, init) => {
    const { pathname, search } = new URL(url)
    const { incoming } = await open(pathname + search, root, init)
    const headers = incoming.headers as Record<string, string>
    return new Response(await textOf(incoming), { status: incoming.statusCode ?? 0, headers })
  }
const attested = async (root: string): Promise<Attested> => {
  const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
  return attest({ url: `https://${NAME}`, policy, fetch: trusting(root) })
}
const spkiOf = ({ publicKey }: X509Certificate) =>
  createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex')

async function health(root: string): Promise<Record<string, unknown>> {
  const { incoming } = await open('/health/ready', root)
  expect(incoming.statusCode).toBe(200)
  const text = await textOf(incoming)
  const headers = incoming.headers as Record<string, string>
  expect(await undocumented('GET', '/health/ready', new Response(text, { headers }))).toEqual([])
  return JSON.parse(text)
}

/** Waits for a certificate under the test's authority that is not this one. */
const publicCertificate = (other?: string): Promise<X509Certificate> =>
  eventually('another public certificate', async () => {
    const asked = await open('/health/live', ca.root).catch(() => undefined)
    asked?.incoming.resume()
    return asked && asked.certificate.serialNumber !== other ? asked.certificate : undefined
  })

async function metric(series: string): Promise<number> {
  const url = (await readFile(join(instance.paths.runtime, 'gateway', 'admin'), 'utf8')).trim()
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n')
  return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1))
}
const failures = (reason: string) =>
  metric(`sealed_gateway_certificate_failures_total{reason="${reason}"}`)
const renewNow = () => process.kill(instance.gateway.pid!, 'SIGUSR2')

describe('until the first public certificate is there', () => {
  test('attested clients are served with the one that the embassy issued, by a gateway without rights', async () => {
    await eventually('a challenge', async () =>
      acme.requests.some((one) => one.startsWith('POST /challenge/')) ? true : undefined,
    )
    const root = await embassyIssued()
    expect(await health(root)).toMatchObject({ ready: true, certificate: 'embassy' })
    expect((await attested(root)).verdict.outcome).toBe('verified')
    expect(await metric('sealed_gateway_certificate_expires_seconds')).toBe(0)
    const status = await readFile(`/proc/${instance.gateway.pid}/status`, 'utf8')
    expect(/^Uid:\t(.*)$/m.exec(status)![1]).toBe([USER, USER, USER, USER].join('\t'))
  })

  test('nobody but the validation gets an answer to acme-tls/1', async () => {
    const port = await portNow()
    for (const servername of ['other.example.org', 'localhost', undefined]) {
      const protocols = ['acme-tls/1']
      const { protocol } = await shake({ port, protocols, ...(servername && { servername }) })
      expect(protocol).toBeUndefined()
    }
    const say = `GET /health HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`
    const seen = await shake({ port, servername: NAME, protocols: ['acme-tls/1'], say })
    expect([seen.protocol, seen.received]).toEqual(['acme-tls/1', ''])
  })
})

describe('the public certificate', () => {
  test('is of the attested key, and makes an ordinary client content', async () => {
    mayValidate(await portNow())
    const certificate = await publicCertificate()
    const { document, verdict } = await attested(ca.root)
    expect(verdict.outcome).toBe('verified')
    expect(spkiOf(certificate)).toBe(document.key_set.tls_spki_digest)
    expect(acme.requested).toEqual([document.key_set.tls_spki_digest])
    expect(certificate.subjectAltName).toBe(`DNS:${NAME}`)
    const body = JSON.stringify({ model: 'noop', messages: [] })
    const headers = { 'content-type': 'application/json' }
    const { incoming } = await open(CHAT, ca.root, { method: 'POST', headers, body })
    expect([incoming.statusCode, await textOf(incoming)]).toEqual([
      200,
      expect.stringContaining('"receipt":"'),
    ])
    expect(await health(ca.root)).toMatchObject({ certificate: 'acme' })
    await eventually('one issued', async () =>
      (await metric('sealed_gateway_certificates_issued_total')) === 1 ? true : undefined,
    )
    const left = await metric('sealed_gateway_certificate_expires_seconds')
    expect(left).toBeGreaterThan(80_000)
    expect(left).toBeLessThanOrEqual(86_400)
  })

  test('leaves acme-tls/1 closed again', async () => {
    const seen = await shake({ port: await portNow(), servername: NAME, protocols: ['acme-tls/1'] })
    expect(seen.protocol).toBeUndefined()
  })

  test('has its account key in the runtime directory alone, for the gateway alone', async () => {
    const { mode, uid } = await stat(tlsFile('acme/account.pem'))
    expect([mode & 0o777, uid]).toEqual([0o600, USER])
    expect((await stat(tlsFile('acme'))).mode & 0o777).toBe(0o700)
    const mounts = await readFile('/proc/self/mounts', 'utf8')
    expect(mounts).toMatch(new RegExp(` ${instance.paths.runtime} tmpfs `))
    const pem = await readFile(tlsFile('acme/account.pem'), 'utf8')
    const files = await readdir(instance.paths.state, { recursive: true, withFileTypes: true })
    for (const file of files.filter((one) => one.isFile()))
      expect(await readFile(join(file.parentPath, file.name), 'latin1')).not.toContain(
        pem.split('\n')[1],
      )
  })

  test('outlives a restart of the gateway, and nobody is asked for another', async () => {
    const { serialNumber } = await publicCertificate()
    const requests = acme.requests.length
    const old = instance.gateway.pid!
    await kill(old)
    await eventually('another gateway', async () =>
      instance.gateway.starts > 1 ? true : undefined,
    )
    expect((await publicCertificate()).serialNumber).toBe(serialNumber)
    expect(await health(ca.root)).toMatchObject({ certificate: 'acme' })
    expect(acme.requests.length).toBe(requests)
  })

  test('is renewed for the same key under an answer that is on its way, which comes whole', async () => {
    acme.gatewayPort = await portNow()
    const { serialNumber, publicKey } = await publicCertificate()
    const body = JSON.stringify({
      model: 'noop',
      messages: [],
      stream: true,
      chunks: 100,
      every_ms: 100,
    })
    const headers = { 'content-type': 'application/json' }
    const { incoming, certificate } = await open(CHAT, ca.root, { method: 'POST', headers, body })
    expect(certificate.serialNumber).toBe(serialNumber)
    const pieces = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    let text = String((await pieces.next()).value)
    renewNow()
    const renewed = await publicCertificate(serialNumber)
    expect(renewed.publicKey.equals(publicKey)).toBe(true)
    expect(text).not.toContain('[DONE]')
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) text += next.value
    expect(text).toMatch(/"receipt":"[A-Za-z0-9_-]+"\}\n\ndata: \[DONE\]\n\n$/)
    expect([acme.accounts, acme.orders]).toEqual([1, 2])
    expect(await metric('sealed_gateway_certificates_issued_total')).toBe(1)
  })
})

describe('a renewal that fails', () => {
  afterEach(async () => {
    acme.issue = undefined
    acme.gatewayPort = await portNow()
  })

  const failed = async (reason: string): Promise<void> => {
    const before = await failures(reason)
    const { serialNumber } = await publicCertificate()
    renewNow()
    await eventually(`a failure: ${reason}`, async () =>
      (await failures(reason)) === before + 1 ? true : undefined,
    )
    expect((await publicCertificate()).serialNumber).toBe(serialNumber)
  }
  const logged = (words: string): Promise<true> =>
    eventually(`a line with: ${words}`, async () => {
      const log = await readFile(join(instance.paths.logs, 'gateway.log'), 'utf8')
      return log.includes(words) ? true : undefined
    })

  test('for a certificate of another key, leaves the one that there was', async () => {
    acme.issue = (names) => ca.strange(names)
    await failed('certificate')
    await logged('is for another key than the gateway’s; it is not used')
  })

  test('at the validation, says what the server saw', async () => {
    // Where no TLS is spoken for this name.
    acme.gatewayPort = Number(new URL(acme.origin).port)
    await failed('order_invalid')
    await logged(`${NAME}: no acme-tls/1 is spoken`)
  })

  test('at a rate limit, keeps when to come again, through a restart', async () => {
    acme.instead.set('/order', problem(429, 'rateLimited', 'too many certificates', '86400'))
    await failed('rate_limited')
    const pending = await eventually(
      'what is pending',
      async () =>
        JSON.parse(await readFile(tlsFile('acme/pending.json'), 'utf8').catch(() => 'null')) ??
        undefined,
    )
    expect(pending.failures).toBe(3)
    expect(pending.due_ms).toBeGreaterThan(Date.now() + 86_000_000)
    const { starts, pid } = instance.gateway
    const requests = acme.requests.length
    await kill(pid!)
    await eventually('another gateway', async () =>
      instance.gateway.starts > starts ? true : undefined,
    )
    await publicCertificate()
    expect(acme.requests.length).toBe(requests)
  })

  test('with nobody there, is tried again when it is told to', async () => {
    const { serialNumber } = await publicCertificate()
    acme.instead.set('/directory', { status: 502, text: '<html>' })
    await failed('unreachable')
    renewNow()
    expect((await publicCertificate(serialNumber)).serialNumber).not.toBe(serialNumber)
    // The certificate is served before what was pending is forgotten.
    await eventually('nothing pending', async () =>
      (await readdir(tlsFile('acme'))).includes('pending.json') ? undefined : true,
    )
    expect(await readdir(tlsFile('acme'))).toEqual(['account.pem', 'cert.pem'])
    expect(acme.accounts).toBe(1)
  })
})
