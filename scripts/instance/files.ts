// The files of an instance, as an operator would write them: deployment, workload, and the policy of a verifier who
// trusts this machine's software TPM and nothing else.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SoftwareTpm } from '../world/tpm.ts'
import type { Image } from './images.ts'
import type { Paths } from './paths.ts'
import type { Unsealed } from './unsealed.ts'

export interface Authority {
  id: string
  name: string
  public_key: string
}
export interface ApiKey {
  created_ms: number
  digest: string
  name: string
  concurrent_requests?: number
  requests_per_minute?: number
}
export interface EgressRule {
  address: string
  protocol: 'tcp' | 'udp'
  port: number
}

/** The gateway's public certificate comes from an ACME server. */
export interface AcmeTls {
  mode: 'acme'
  contact: string[]
  directory: string
  names: string[]
  /** PEM file. */
  roots?: string
  terms_agreed: true
}

/** A workload that is none of this repository's. */
export interface OwnWorkload {
  image: Image
  /** Its file as an operator writes it, but for the image's digest. */
  file: Readonly<Record<string, unknown>>
}

export interface InstanceOptions {
  workload: 'reference' | 'noop' | 'hostile'
  /** Runs in place of that one. */
  own?: OwnWorkload
  replicas?: number
  port?: number
  adminPort?: number
  authorities?: Authority[]
  /** Keys that are asked for, in a file that is written once and then left to `sealed key`. */
  apiKeys?: ApiKey[]
  egress?: EgressRule[]
  /** Of the container engine, where it is not the machine's own. */
  dockerSocket?: string
  /** What runs the workload's container; the engine's own when absent. */
  runtime?: 'runc' | 'runsc'
  /** Sessions share a replica and its seal, or, where it is permanent, those of one client do. */
  epoch?: { idle_ms?: number; max_ms: number; sessions: number }
  permanent?: boolean
  /** The workload gets ciphertext and asks the embassy for the key itself. */
  cooperative?: boolean
  env?: Record<string, string>
  limits?: Record<string, number>
  metering?: 'required' | 'optional'
  tls?: 'off' | 'embassy' | AcmeTls
  /** This machine cannot seal: neither seal nor TPM, and every receipt fails. */
  unsealed?: Unsealed
  probeIntervalMs?: number
  witnesses?: { name: string; url: string; public_key: string }[]
  /** Writes the files in place of an operator: a machine that is launched. */
  launch?: (paths: Paths, beside: Sealing) => Promise<void>
}

/** What a machine that seals has beside its workload. */
export interface Sealing {
  pause: Image
  tpm: Pick<SoftwareTpm, 'socketPath' | 'chainPath' | 'rootSha256' | 'eventLogPath' | 'image'>
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
/** A root that nobody has: there is no policy without one, and without a TPM there is none to name. */
const NOBODY = '00'.repeat(32)
const MODELS = { reference: 'sealed-demo', noop: 'noop', hostile: 'hostile' }

const tlsOf = (tls: InstanceOptions['tls']) =>
  tls === 'embassy'
    ? { mode: tls, names: ['localhost', '127.0.0.1'] }
    : typeof tls === 'object'
      ? tls
      : { mode: 'off' }

const unlessThere = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EEXIST') throw error
}

export async function writeFiles(
  paths: Paths,
  options: InstanceOptions,
  workloadImage: Image,
  sealing: Sealing | undefined,
): Promise<void> {
  const shared = options.permanent ? 'permanent' : 'epoch'
  const sealPolicy = options.epoch ? shared : 'request'
  const builtIn = {
    activations: 'safetensors',
    egress: options.egress ?? [],
    endpoints: ['/v1/chat/completions', '/v1/completions'],
    ...(options.epoch && { epoch: options.epoch }),
    env: Object.entries(options.env ?? {}).map(([name, value]) => ({ name, value })),
    image: workloadImage.id,
    memory_bytes: 512 * 1024 * 1024,
    models: [MODELS[options.workload]],
    name: options.workload,
    // gVisor's own threads count too.
    pids: options.runtime === 'runsc' ? 256 : 64,
    port: 8000,
    prefix_cache: 'off',
    ...(options.cooperative && { protocol: 'cooperative' }),
    ...(options.runtime && { runtime: options.runtime }),
    seal_policy: sealPolicy,
    version: 1,
  }
  const workload = json(options.own ? { ...options.own.file, image: workloadImage.id } : builtIn)
  const authorities = options.authorities ?? []
  const deployment = json({
    ...(options.apiKeys && { api_keys: paths.keys }),
    authorities,
    ...(options.dockerSocket && { docker_socket: options.dockerSocket }),
    gateway: {
      admin_port: options.adminPort ?? 0,
      host: '127.0.0.1',
      port: options.port ?? 0,
      tls: tlsOf(options.tls),
    },
    id: paths.id,
    limits: options.limits ?? {},
    metering: options.metering ?? 'required',
    ...(sealing
      ? {
          pause: { archive: sealing.pause.archive, image: sealing.pause.id },
          tpm: {
            chain: sealing.tpm.chainPath,
            event_log: sealing.tpm.eventLogPath,
            path: sealing.tpm.socketPath,
          },
        }
      : { unsealed: options.unsealed }),
    probes: { interval_ms: options.probeIntervalMs ?? 60_000, targets: [] },
    runtime_dir: paths.runtime,
    state_dir: paths.database,
    version: 1,
    ...(options.witnesses && { witnesses: options.witnesses }),
    workloads: [
      { archive: workloadImage.archive, file: paths.workload, replicas: options.replicas ?? 1 },
    ],
  })
  const policy = json({
    ak_roots: [sealing?.tpm.rootSha256 ?? NOBODY],
    authorities: authorities.map(({ id }) => id),
    evidence: sealing ? ['tpm', 'event-log'] : ['tpm'],
    images: sealing ? [sealing.tpm.image] : [],
    metering: options.metering ?? 'required',
    name: 'dev',
    seal_policies: [sealPolicy],
    version: 1,
    workloads: [createHash('sha256').update(workload).digest('hex')],
  })
  if (options.apiKeys) {
    // The gateway reads it after it has given root up.
    await mkdir(dirname(paths.keys), { recursive: true, mode: 0o711 })
    const keys = json({ keys: options.apiKeys, version: 1 })
    await writeFile(paths.keys, keys, { flag: 'wx', mode: 0o644 }).catch(unlessThere)
  }
  await writeFile(paths.workload, workload)
  await writeFile(paths.config, deployment, { mode: 0o644 })
  await writeFile(paths.policy, policy)
}
