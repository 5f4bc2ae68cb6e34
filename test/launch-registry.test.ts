// A private registry whose certificates only its operator vouches for, over TLS at an address that is not loopback's, from
// where the engine takes nothing else. Mutant tried: `registry_ca` not written.
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  instanceOf,
  type MetadataServer,
  startMetadataServer,
} from '../embassy/src/test-support/metadata-server.ts'
import { buildImage } from '../scripts/instance/images.ts'
import { pathsOf } from '../scripts/instance/paths.ts'
import { run } from '../scripts/world/run.ts'
import { imageSpec } from '../workloads/image/images.ts'
import { NOOP, runLaunch, writeBase } from './support/launched.ts'
import { type Registry, startRegistry } from './support/registry.ts'

const TOKEN = 'ya29.a-token-of-the-service-account'
const DEVICE = 'sealed-registry'
const ADDRESS = '198.18.247.1'
/** Where the engine looks, on any machine. */
const CERTS = '/etc/docker/certs.d'

let directory: string
let base: string
let cert: string
let registry: Registry
let metadata: MetadataServer
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-registry-'))
  await run('ip', ['link', 'delete', DEVICE]).catch(() => {})
  await run('ip', ['link', 'add', DEVICE, 'type', 'bridge'])
  await run('ip', ['address', 'add', `${ADDRESS}/32`, 'dev', DEVICE])
  await run('ip', ['link', 'set', DEVICE, 'up'])
  const [keyPath, certPath] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyPath]
  const name = ['-subj', '/CN=registry', '-addext', `subjectAltName=IP:${ADDRESS}`, '-days', '2']
  await run('openssl', ['req', '-x509', ...key, ...name, '-out', certPath])
  cert = await readFile(certPath, 'utf8')
  registry = await startRegistry({
    image: { ...imageSpec('noop'), labels: { made: randomUUID() } },
    login: { username: 'oauth2accesstoken', password: TOKEN },
    tls: { address: ADDRESS, cert, key: await readFile(keyPath, 'utf8') },
  })
  const paths = pathsOf(directory)
  const pause = await buildImage('pause', paths.images)
  // There is no TPM: who comes so far as to measure has the image.
  const tpm = { chainPath: '/none', eventLogPath: '/none', socketPath: '/none' }
  base = await writeBase(paths, { pause, tpm }, { registry_certs: CERTS })
  metadata = await startMetadataServer(instanceOf({}))
})
afterAll(async () => {
  await metadata?.stop()
  if (registry) await rm(join(CERTS, registry.host), { recursive: true, force: true })
  // Another's certificates keep it.
  await rmdir(CERTS).catch(() => {})
  await registry?.stop()
  await run('ip', ['link', 'delete', DEVICE]).catch(() => {})
  await rm(directory, { recursive: true })
})

async function launched(operator: object) {
  const deployment = { authorities: [], metering: 'required', version: 1, ...operator }
  metadata.answer = instanceOf(
    {
      'sealed-deployment': JSON.stringify(deployment),
      'sealed-image': registry.reference,
      'sealed-workload': JSON.stringify(NOOP),
    },
    TOKEN,
  )
  const { lines } = await runLaunch(base, join(directory, 'out'), metadata.url)
  return { last: lines.at(-1)!, pulled: lines.some(({ message }) => message === 'pulled') }
}

test('it is not believed by its own word, and gets no token', async () => {
  const { last, pulled } = await launched({ registry: registry.host })
  expect(pulled).toBe(false)
  expect(last).toMatchObject({ code: 'launch.unavailable' })
  expect(last.reason).toMatch(/certificate/)
  expect(registry.seen).toEqual([])
})

test('with the operator’s certificate it gives the image for the token', async () => {
  const { last, pulled } = await launched({ registry: registry.host, registry_ca: cert })
  expect(pulled).toBe(true)
  expect(last).toMatchObject({ code: 'tpm.failed' })
  const login = `Basic ${Buffer.from(`oauth2accesstoken:${TOKEN}`).toString('base64')}`
  expect(registry.seen).toContainEqual({ path: '/token', authorization: login })
})
