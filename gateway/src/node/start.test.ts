import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, type X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseDeployment, utf8 } from '@sealed/protocol'
import forge from 'node-forge'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DIGEST, keyEntry, STATUS } from '../test-support/fakes.ts'
import { GATEWAY_USER, isRoot } from './privileges.ts'
import { refuseOpenDoor } from './settings.ts'

const entry = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const user = isRoot() ? GATEWAY_USER : process.getuid!()

let directory = ''
const children: ChildProcess[] = []
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gateway-'))
  await chmod(directory, 0o755)
})
afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  await rm(directory, { recursive: true })
})

const deployment = (gateway: object, api_keys?: string) => ({
  ...(api_keys !== undefined && { api_keys }),
  authorities: [],
  gateway: { host: '127.0.0.1', port: 0, tls: { mode: 'off' }, admin_port: 0, ...gateway },
  id: 'abcd',
  metering: 'optional',
  pause: { archive: 'pause.tar', image: DIGEST },
  probes: { interval_ms: 60_000, targets: [] },
  runtime_dir: directory,
  state_dir: directory,
  tpm: { chain: 'chain.pem', path: '/dev/tpmrm0' },
  version: 1,
  workloads: [{ archive: 'w.tar', file: 'workload.json', replicas: 1 }],
})

async function writeKeys(...keys: object[]): Promise<string> {
  await mkdir(join(directory, 'keys'), { recursive: true, mode: 0o711 })
  const path = join(directory, 'keys', 'keys.json')
  await writeFile(path, JSON.stringify({ keys, version: 1 }))
  return path
}

async function launch(script: string, settings: object) {
  const config = join(directory, 'sealed.json')
  await writeFile(config, JSON.stringify(settings))
  const child = spawn(process.execPath, [entry(script), '--config', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
  })
  children.push(child)
  const output = { out: '', err: '' }
  child.stdout.on('data', (part) => {
    output.out += part
  })
  child.stderr.on('data', (part) => {
    output.err += part
  })
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>
  const firstLine = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => output.out.includes('\n') && resolve(output.out))
    void exited.then(() => reject(new Error(output.err)))
  })
  firstLine.catch(() => {})
  return { child, output, exited, firstLine }
}

describe('the gateway’s process', () => {
  it('says and writes where it listens, gives root up, and ends on SIGTERM', async () => {
    await mkdir(join(directory, 'embassy'))
    const embassy = createServer((_, response) => response.end(JSON.stringify(STATUS)))
    embassy.listen(join(directory, 'embassy/gateway.sock'))
    await once(embassy, 'listening')
    await chmod(join(directory, 'embassy/gateway.sock'), 0o666)
    const { child, output, exited, firstLine } = await launch('node.ts', deployment({}))
    const url = /^gateway listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(await firstLine)![1]!
    expect(await readFile(join(directory, 'gateway/url'), 'utf8')).toBe(`${url}\n`)
    const health = await fetch(`${url}/health`)
    expect([health.status, await health.json()]).toEqual([200, { ready: true, reason: 'serving' }])
    const proc = await readFile(`/proc/${child.pid}/status`, 'utf8')
    expect(/^Uid:\t(.*)$/m.exec(proc)![1]).toBe([user, user, user, user].join('\t'))
    if (isRoot()) {
      expect(/^Groups:\t(.*)$/m.exec(proc)![1]!.trim()).toMatch(/^(?:64101)?$/)
      expect(/^CapEff:\t(.*)$/m.exec(proc)![1]).toBe('0000000000000000')
      expect(/^CapPrm:\t(.*)$/m.exec(proc)![1]).toBe('0000000000000000')
    }
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    expect(output.err).toBe('')
    await new Promise((resolve) => embassy.close(resolve))
  })

  it('shows its operator metrics on loopback, and a line for each request', async () => {
    await mkdir(join(directory, 'embassy'))
    let embassyUp = true
    const embassy = createServer((incoming, response) => {
      if (incoming.url === '/metrics' && embassyUp) response.end('sealed_step_total 5\n')
      else if (incoming.url === '/metrics') response.writeHead(500).end('no')
      else response.end(JSON.stringify(STATUS))
    })
    embassy.listen(join(directory, 'embassy/gateway.sock'))
    await once(embassy, 'listening')
    await chmod(join(directory, 'embassy/gateway.sock'), 0o666)
    const path = await writeKeys({ ...(await keyEntry('sk-a', 'alice')), created_ms: 1 })
    const { child, exited, firstLine, output } = await launch('node.ts', deployment({}, path))
    const url = /(http:\S+)/.exec(await firstLine)![1]!
    const admin = (await readFile(join(directory, 'gateway/admin'), 'utf8')).trim()
    expect(admin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const get = async (from: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(from, { headers })
      return { status: answer.status, text: await answer.text() }
    }
    const ids = {
      'x-request-id': 'my-id',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    }
    await get(`${url}/v1/models`, { authorization: 'Bearer sk-a', ...ids })
    await get(`${url}/v1/models`, { authorization: 'Bearer sk-secret' })
    await get(`${url}/health/live`)
    const { text } = await get(`${admin}/metrics`)
    expect(text).toContain('sealed_gateway_requests_total{route="/v1/models",status="200"} 1')
    expect(text).toContain('sealed_gateway_requests_total{route="/v1/models",status="401"} 1')
    expect(text).toContain('sealed_gateway_errors_total{code="request.unauthorized"} 1')
    expect(text).toContain('sealed_gateway_request_seconds_count{route="/v1/models"} 2')
    expect(text).toContain('sealed_gateway_requests_in_flight 0')
    expect(text).toMatch(/^sealed_gateway_process_resident_memory_bytes \d+$/m)
    expect(text).toMatch(/^sealed_embassy_up 1\nsealed_step_total 5\n$/m)
    embassyUp = false
    expect((await get(`${admin}/metrics`)).text).toMatch(/sealed_embassy_up 0\n$/)
    for (const health of ['live', 'ready'])
      expect((await get(`${admin}/health/${health}`)).status).toBe(200)
    expect((await get(`${admin}/v1/models`)).status).toBe(404)
    expect((await get(`${url}/metrics`)).status).toBe(404)
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    const lines = output.err
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ route }) => route)).toEqual(['/v1/models', '/v1/models', 'none'])
    expect(lines[0]).toEqual({
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      process: 'gateway',
      message: 'request',
      request_id: 'my-id',
      trace_id: 'a'.repeat(32),
      parent_id: 'b'.repeat(16),
      method: 'GET',
      route: '/v1/models',
      status: 200,
      caller: 'alice',
      bytes_in: 0,
      bytes_out: expect.any(Number),
      ms: expect.any(Number),
    })
    expect(lines[1]).toMatchObject({ status: 401, code: 'request.unauthorized' })
    expect(output.err).not.toMatch(/sk-|secret/)
    await new Promise((resolve) => embassy.close(resolve))
  })

  it('does not start where somebody has its operator’s port', async () => {
    const other = createServer()
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const { exited, output } = await launch('node.ts', deployment({ admin_port: port }))
    expect(await exited).toEqual([1, null])
    expect(output.err).toMatch(/^gateway: config\.invalid: .*admin_port/)
    await new Promise((resolve) => other.close(resolve))
  })

  it('admits by a file of keys that it reads again, also where its user may not go', async () => {
    const closed = join(directory, 'closed')
    await mkdir(join(closed, 'keys'), { recursive: true })
    const path = join(closed, 'keys', 'keys.json')
    const write = async (...keys: object[]) => {
      await writeFile(`${path}.part`, JSON.stringify({ keys, version: 1 }))
      await rename(`${path}.part`, path)
    }
    const key = { ...(await keyEntry('sk-a', 'a')), created_ms: 1 }
    await write(key)
    await chmod(join(closed, 'keys'), 0o711)
    await chmod(closed, 0o700)
    const { child, exited, firstLine } = await launch('node.ts', deployment({}, path))
    const url = /(http:\S+)/.exec(await firstLine)![1]!
    const headers = { authorization: 'Bearer sk-a' }
    const ask = async () => {
      const answer = await fetch(`${url}/v1/models`, { headers })
      await answer.arrayBuffer()
      return answer.status
    }
    // There is no embassy here: who is let in is told that.
    expect(await ask()).toBe(503)
    await write({ ...key, revoked_ms: 2 })
    child.kill('SIGHUP')
    while ((await ask()) !== 401);
    await write(key)
    while ((await ask()) !== 503);
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })

  it('does not start on keys that it could not read again', async () => {
    if (!isRoot()) return
    const path = await writeKeys()
    await chmod(join(directory, 'keys'), 0o700)
    const { output, exited } = await launch('node.ts', deployment({}, path))
    expect(await exited).toEqual([1, null])
    expect(output.err).toMatch(/^gateway: config\.invalid: .*0711\n$/)
  })

  it.each([
    ['beyond the loopback without TLS', { host: '0.0.0.0' }, true],
    [
      'beyond the loopback without keys',
      { host: '::', tls: { mode: 'files', certificate: 'c', key: 'k' } },
      false,
    ],
  ])('refuses to listen %s', async (_, gateway, keys) => {
    const path = keys ? await writeKeys() : undefined
    const { output, exited } = await launch('node.ts', deployment(gateway, path))
    expect(await exited).toEqual([1, null])
    expect(output.err).toMatch(/^gateway: config\.invalid: gateway\.host is .*loopback/)
  })

  it('names what is wrong with its settings, in one line', async () => {
    const { output, exited } = await launch('node.ts', { ...deployment({}), extra: 1 })
    expect(await exited).toEqual([1, null])
    expect(output.err).toMatch(/^gateway: config\.invalid: .*extra.*\n$/)
  })
})

describe('the door', () => {
  const settings = (gateway: object, keys?: string) =>
    parseDeployment(utf8(JSON.stringify(deployment(gateway, keys))))

  it('may be open to strangers with keys and TLS only', () => {
    const keys = '/etc/sealed/keys.json'
    const tls = { mode: 'files', certificate: 'c', key: 'k' }
    for (const address of ['0.0.0.0', '::', '10.0.0.1', 'example.com', '128.0.0.1']) {
      expect(() => refuseOpenDoor(settings({}, keys), address)).toThrow('TLS')
      expect(() => refuseOpenDoor(settings({ tls }), address)).toThrow('API keys')
      expect(() => refuseOpenDoor(settings({ tls }, keys), address)).not.toThrow()
    }
    for (const address of ['127.0.0.1', '127.8.9.10', '::1', 'localhost'])
      expect(() => refuseOpenDoor(settings({}), address)).not.toThrow()
  })
})

describe('TLS with a key of the gateway’s own', () => {
  const gateway = { tls: { mode: 'embassy', names: ['gateway.test', '127.0.0.1'] } }

  it('is made once, for nobody else to read, and served once it is certified', async () => {
    const made = await launch('tls-key.ts', deployment(gateway))
    expect([await made.exited, made.output]).toEqual([[0, null], { out: '', err: '' }])
    const at = (name: string) => join(directory, 'tls', name)
    const { mode, uid } = await stat(at('key.pem'))
    expect([mode & 0o777, uid]).toEqual([0o600, user])
    const key = await readFile(at('key.pem'), 'utf8')
    const text = execFileSync(
      'openssl',
      ['req', '-in', at('request.csr'), '-noout', '-verify', '-text'],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
    )
    expect(text).toContain('(3072 bit)')
    expect(text).toContain('sha256WithRSAEncryption')
    expect(text).toContain('CN = gateway.test')

    const again = await launch('tls-key.ts', deployment(gateway))
    expect(await again.exited).toEqual([0, null])
    expect(await readFile(at('key.pem'), 'utf8')).toBe(key)

    const early = await launch('node.ts', deployment(gateway))
    expect(await early.exited).toEqual([1, null])
    expect(early.output.err).toContain('the embassy issues it')

    await writeFile(at('cert.pem'), certify(await readFile(at('request.csr'), 'utf8')))
    const { firstLine } = await launch('node.ts', deployment(gateway))
    const url = /(https:\/\/127\.0\.0\.1:\d+)/.exec(await firstLine)![1]!
    const ca = await readFile(at('cert.pem'), 'utf8')
    const outgoing = request(`${url}/health`, { ca, servername: 'gateway.test', agent: false })
    outgoing.end()
    const [incoming] = await once(outgoing, 'response')
    expect(incoming.statusCode).toBe(503)
    const presented = incoming.socket.getPeerX509Certificate() as X509Certificate
    expect(presented.checkPrivateKey(createPrivateKey(key))).toBe(true)
    incoming.resume()
  })

  it('is not made for a deployment that brings its own', async () => {
    const { output, exited } = await launch('tls-key.ts', deployment({}))
    expect(await exited).toEqual([1, null])
    expect(output.err).toMatch(/^tls-key: config\.invalid: /)
  })
})

describe('TLS with a certificate from an ACME server', () => {
  const acme = (more: object = {}) => ({
    tls: {
      mode: 'acme',
      contact: [],
      // Nobody listens there.
      directory: 'https://127.0.0.1:1/directory',
      names: ['gateway.test'],
      terms_agreed: true,
      ...more,
    },
  })
  const at = (name: string) => join(directory, 'tls', name)
  const failures = async () => JSON.parse(await readFile(at('acme/pending.json'), 'utf8')).failures
  const certified = async () => {
    const made = await launch('tls-key.ts', deployment(acme()))
    expect([await made.exited, made.output]).toEqual([[0, null], { out: '', err: '' }])
    await writeFile(at('cert.pem'), certify(await readFile(at('request.csr'), 'utf8')))
  }

  it.each([
    ['roots', { roots: '/nowhere/roots.pem' }],
    ['external_account.key', { external_account: { key: '/nowhere/mac', key_id: 'a' } }],
  ])('does not start without the file that %s names', async (member, more) => {
    await certified()
    const { output, exited } = await launch('node.ts', deployment(acme(more)))
    expect(await exited).toEqual([1, null])
    expect(output.err).toMatch(/^gateway: config\.invalid: cannot read \/nowhere\/\w+/)
    expect(output.err).toContain(`gateway.tls.${member}`)
  })

  it('serves with the embassy’s while nobody issues one, says so, and ends at once when it is told to', async () => {
    await certified()
    const { child, exited, firstLine, output } = await launch('node.ts', deployment(acme()))
    const url = /(https:\/\/127\.0\.0\.1:\d+)/.exec(await firstLine)![1]!
    const ca = await readFile(at('cert.pem'), 'utf8')
    const outgoing = request(`${url}/health/ready`, {
      ca,
      servername: 'gateway.test',
      agent: false,
    })
    outgoing.end()
    const [incoming] = await once(outgoing, 'response')
    let text = ''
    for await (const part of incoming) text += part
    expect(JSON.parse(text)).toMatchObject({ certificate: 'embassy' })
    while (!output.err.includes('no public certificate')) await once(child.stderr!, 'data')
    expect(output.err).toContain('"reason":"unreachable"')
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    const { mode, uid } = await stat(at('acme/account.pem'))
    expect([mode & 0o777, uid]).toEqual([0o600, user])
    expect(await failures()).toBe(1)
  })

  it('waits out its pause across a restart, unless it is told to ask', async () => {
    await certified()
    for (const expected of [1, 2]) {
      const { child, exited, firstLine, output } = await launch('node.ts', deployment(acme()))
      await firstLine
      if (expected === 2) child.kill('SIGUSR2')
      while (!output.err.includes('no public certificate')) await once(child.stderr!, 'data')
      child.kill('SIGTERM')
      expect(await exited).toEqual([0, null])
      expect(output.err.match(/no public certificate/g)).toHaveLength(1)
      expect(await failures()).toBe(expected)
    }
  })
})

/** Certifies a request as the embassy would: by an issuer key that is then dropped. */
function certify(request: string): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.certificationRequestFromPem(request).publicKey!
  certificate.serialNumber = '01'
  certificate.validity.notAfter.setDate(certificate.validity.notAfter.getDate() + 1)
  certificate.setSubject([{ name: 'commonName', value: 'gateway.test' }])
  certificate.setIssuer([{ name: 'commonName', value: 'gateway.test' }])
  certificate.setExtensions([
    { name: 'subjectAltName', altNames: [{ type: 2, value: 'gateway.test' }] },
  ])
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }) as string
  certificate.sign(forge.pki.privateKeyFromPem(pem), forge.md.sha256.create())
  return forge.pki.certificateToPem(certificate)
}
