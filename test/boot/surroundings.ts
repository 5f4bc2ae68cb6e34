// What is around a machine that boots: the metadata server with its instance's attributes, a private registry with its
// workload, the authority that vouches for its TPM, and a client somewhere else.
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createApiKey } from '@sealed/client'
import {
  canonicalBytes,
  check,
  type Policy,
  parsePolicy,
  parseReferenceValues,
  sha256Hex,
  type Weights,
  workloadSchema,
} from '@sealed/protocol'
import {
  answering,
  instanceOf,
  type MetadataServer,
  startMetadataServer,
} from '../../embassy/src/test-support/metadata-server.ts'
import { provision } from '../../scripts/world/provision.ts'
import { run } from '../../scripts/world/run.ts'
import { imageSpec } from '../../workloads/image/images.ts'
import { httpsFetch } from '../support/https-fetch.ts'
import { NOOP } from '../support/launched.ts'
import { type Registry, startRegistry } from '../support/registry.ts'
import { REGISTRY } from './machine.ts'

const TOKEN = 'ya29.a-token-of-the-service-account'
const ISSUERS = '/issuers'

export interface Surroundings {
  metadata: MetadataServer
  registry: Registry
  /** On loopback. */
  registryPort: number
  apiKey: string
  /** Directory of the software TPM. */
  tpm: string
  /** SHA-256 of the root that vouches for the TPM. */
  root: string
  /** What the instance is given; `change` replaces some. */
  give(change?: Record<string, unknown>): void
  /** Strict, but for the TPM's root and the processor's report, which this machine has not. */
  policy(image: string): Promise<Policy>
  stop(): Promise<void>
}

/** `weights` are the workload's, and may be: its image's label says so, unless there are other `labels`. */
export async function surround(
  directory: string,
  weights: Weights = [],
  labels: Record<string, string> | undefined = labelsOf(weights),
): Promise<Surroundings> {
  const tpm = join(directory, 'tpm')
  await mkdir(tpm, { recursive: true })
  await provision(tpm, `http://169.254.169.254${ISSUERS}`)
  const [intermediate, root] = (await readFile(join(tpm, 'chain.pem'), 'utf8'))
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .map((pem) => new X509Certificate(pem))
  const { cert, key } = await certificate(directory)
  const registry = await startRegistry({
    image: {
      ...imageSpec('noop'),
      ...(labels && { labels }),
    },
    login: { username: 'oauth2accesstoken', password: TOKEN },
    tls: { cert, key, address: '127.0.0.1' },
  })
  const local = registry.host
  const registryPort = Number(local.split(':')[1])
  registry.host = REGISTRY
  const { apiKey, entry } = await createApiKey('a-client')
  const workload = { ...NOOP, ...(weights.length > 0 && { weights }) }
  const attributes = (change: Record<string, unknown>) => ({
    'sealed-deployment': {
      api_keys: [entry],
      authorities: [],
      gateway: { tls: { mode: 'embassy', names: ['sealed.test'] } },
      metering: 'required',
      registry: REGISTRY,
      registry_ca: cert,
      version: 1,
    },
    'sealed-image': registry.reference.replace(local, REGISTRY),
    'sealed-workload': workload,
    ...change,
  })
  const metadata = await startMetadataServer(answering(404, ''))
  const give = (change: Record<string, unknown> = {}) => {
    const texts = Object.entries(attributes(change)).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ])
    const instance = instanceOf(Object.fromEntries(texts), TOKEN)
    metadata.answer = (asked, response) => {
      const file = asked.url?.startsWith(`${ISSUERS}/`) && asked.url.slice(ISSUERS.length + 1)
      if (!file) instance(asked, response)
      else response.end((file === 'root.crt' ? root : intermediate)!.raw)
    }
  }
  give()
  return {
    ...{ metadata, registry, registryPort, apiKey, tpm, give },
    root: root!.fingerprint256.replaceAll(':', '').toLowerCase(),
    async policy(image) {
      const values = await readFile(join(image, 'reference-values.json'), 'utf8')
      const policy = {
        ak_roots: [root!.fingerprint256.replaceAll(':', '').toLowerCase()],
        authorities: [],
        evidence: ['tpm', 'event-log'],
        images: [parseReferenceValues(values).image],
        metering: 'required',
        name: 'booted',
        seal_policies: ['request'],
        version: 1,
        workloads: [await workloadDigest({ ...workload, env: [], image: registry.config })],
      }
      return parsePolicy(JSON.stringify(policy))
    },
    async stop() {
      await metadata.stop()
      await registry.stop()
    },
  }
}

const labelsOf = (weights: Weights) =>
  weights.length === 0
    ? undefined
    : {
        'sealed.weights': weights.map(({ path, root_hash }) => `${path}=${root_hash}`).join(','),
      }

/** Of the file that the launch makes of the attributes: known before any machine starts. */
function workloadDigest(workload: object): Promise<string> {
  return sha256Hex(canonicalBytes(check(workloadSchema, workload, 'workload', 'config.invalid')))
}

async function certificate(directory: string): Promise<{ cert: string; key: string }> {
  await run(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'],
      ...['-subj', '/CN=a registry', '-addext', `subjectAltName=IP:${REGISTRY}`, '-days', '2'],
      ...['-keyout', 'registry.key', '-out', 'registry.pem'],
    ],
    { cwd: directory },
  )
  const read = (name: string) => readFile(join(directory, name), 'utf8')
  return { cert: await read('registry.pem'), key: await read('registry.key') }
}

/** Believes no certificate, and keeps the key that it met: attestation says whether it is the machine's. */
export const meeting = () => httpsFetch({ rejectUnauthorized: false })
