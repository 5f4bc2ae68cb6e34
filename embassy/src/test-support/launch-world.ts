// What a launch needs in tests: an operator's attributes, an image's base, and a container engine that has one image.
import type { Base } from '@sealed/protocol'
import type { ImageStore, Login, PulledImage } from '../launch/images.ts'

export const MANIFEST = 'ab'.repeat(32)
export const CONFIG = 'cd'.repeat(32)
export const REFERENCE = `europe-west4-docker.pkg.dev/project/models/demo@sha256:${MANIFEST}`

export const WORKLOAD = {
  activations: 'safetensors',
  egress: [],
  endpoints: ['/v1/chat/completions'],
  memory_bytes: 536_870_912,
  models: ['demo'],
  name: 'demo',
  pids: 64,
  port: 8000,
  prefix_cache: 'off',
  seal_policy: 'request',
  version: 1,
}
export const OPERATOR = { authorities: [], metering: 'required', version: 1 }

export const BASE: Base = {
  gateway: { admin_port: 9464, host: '127.0.0.1', port: 8080, tls: { mode: 'off' } },
  id: '0a1b',
  pause: { archive: '/usr/share/sealed/pause.tar', image: 'ef'.repeat(32) },
  probes: { interval_ms: 60_000, targets: [] },
  runtime_dir: '/run/sealed/0a1b',
  state_dir: '/var/lib/sealed/0a1b',
  tpm: { chain: '/etc/sealed/chain.pem', path: '/dev/tpmrm0' },
  version: 1,
}

/** Attributes that launch, with some replaced; an object stands for its JSON, undefined for none. */
export function attributesOf(change: Record<string, unknown> = {}): Record<string, string> {
  const all: Record<string, unknown> = {
    'sealed-deployment': OPERATOR,
    'sealed-image': REFERENCE,
    'sealed-workload': WORKLOAD,
    'ssh-keys': 'somebody:ssh-ed25519 AAAA',
    ...change,
  }
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}

export class FakeImages implements ImageStore {
  readonly pulled: { reference: string; login: Login | undefined }[] = []
  image: PulledImage = { id: `sha256:${CONFIG}`, references: [REFERENCE], labels: {} }
  failure: Error | undefined

  pull = async (reference: string, login: Login | undefined) => {
    this.pulled.push({ reference, login })
    if (this.failure) throw this.failure
  }
  inspect = async () => this.image
}
