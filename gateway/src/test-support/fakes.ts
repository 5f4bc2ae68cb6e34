// Surroundings for tests of the gateway's own logic: an embassy and a relay that say what a test tells them to, and
// envelopes and receipts of the right form. Web APIs only, as the app itself.
import {
  encodeReceipt,
  importTransportKey,
  type Overview,
  type SealedRequest,
  type Status,
  sealRequest,
  sha256Hex,
  toBase64url,
  utf8,
} from '@sealed/protocol'
import { createApp } from '../app.ts'
import type { Deps, PlainAnswer, PlainCall } from '../deps.ts'
import { undocumented } from './documented.ts'

export const NOW = 1_800_000_000_000
export const ID = '0123456789abcdef0123456789abcdef'
export const DIGEST = 'ab'.repeat(32)
export const SALT = toBase64url(new Uint8Array(32).fill(7))

export const STATUS: Status = {
  ready: true,
  reason: 'serving',
  workloads: [
    {
      name: 'demo',
      models: ['demo-small', 'demo-large'],
      endpoints: ['/v1/chat/completions'],
      replicas_ready: 1,
    },
    {
      name: 'other',
      models: ['other-1'],
      endpoints: ['/v1/chat/completions', '/v1/completions'],
      replicas_ready: 0,
    },
  ],
}

export const OVERVIEW: Overview = {
  attestation: { document: DIGEST, evidence: ['tpm', 'event-log'] },
  checkpoint: { origin: 'sealed/0123456789abcdef', size: 42, utc_ms: NOW },
  metering: 'required',
  ready: true,
  reason: '',
  workloads: [
    {
      endpoints: ['/v1/chat/completions'],
      models: ['demo-small', 'demo-large'],
      name: 'demo',
      replicas: 2,
      replicas_idle: 0,
      replicas_ready: 1,
      seal_policy: 'request',
      waiting: 3,
    },
  ],
}

export const ANSWER: PlainAnswer = {
  status: 200,
  contentType: 'application/json',
  body: utf8('{"id":"x","choices":[]}'),
  receiptId: ID,
  salt: SALT,
  receipt: 'cmVjZWlwdA',
}

export const never = (signal: AbortSignal) =>
  new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  )

type Parts = Partial<Omit<Deps, 'embassy' | 'relay' | 'limits'>> & {
  embassy?: Partial<Deps['embassy']>
  relay?: Partial<Deps['relay']>
  limits?: Partial<Deps['limits']>
}

/** An app on fakes; parts given replace theirs. `calls` are what reached the relay's plain door. */
export function fakeApp(parts: Parts = {}) {
  const calls: PlainCall[] = []
  const deps: Deps = {
    clock: () => NOW,
    ...parts,
    embassy: {
      attestation: async (nonce) => utf8(JSON.stringify({ nonce: nonce ?? null })),
      document: async (digest) => (digest === DIGEST ? utf8('{"document":1}') : undefined),
      receipt: async (id) => (id === ID ? 'cmVjZWlwdA' : undefined),
      proof: async (id) => (id === ID ? 'c2sp.org/tlog-proof@v1\n' : undefined),
      log: async (origin, resource) => utf8(`${origin} ${resource}`),
      status: async () => STATUS,
      overview: async () => OVERVIEW,
      ...parts.embassy,
    },
    relay: {
      sealed: async () => ({
        receiptId: ID,
        body: streamOf(utf8('sealed'), utf8(' answer')).getReader(),
      }),
      plain: async (call) => {
        calls.push(call)
        return ANSWER
      },
      ...parts.relay,
    },
    limits: {
      bodyBytes: 1024,
      callerRequests: 4,
      totalRequests: 8,
      requestsPerMinute: 1_000,
      ...parts.limits,
    },
  }
  return { app: held(createApp(deps)), calls, deps }
}

/** The same app, each of whose answers is held against the OpenAPI document. */
function held(app: ReturnType<typeof createApp>) {
  const { request } = app
  app.request = async (input, init, ...more) => {
    const answer = await request(input, init, ...more)
    const asked = new URL(String(input), 'http://localhost')
    const method = init?.method ?? 'GET'
    // A client that has left is told nothing that anybody could document.
    if (init?.signal?.aborted) return answer
    const problems = await undocumented(method, asked.pathname, answer)
    if (problems.length > 0)
      throw new Error(`${method} ${asked.pathname} ${answer.status}: ${problems.join('; ')}`)
    return answer
  }
  return app
}

export function streamOf(...parts: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      const part = parts.shift()
      if (part) controller.enqueue(part)
      else controller.close()
    },
  })
}

export const post = (body: BodyInit, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body,
  headers: { 'content-type': 'application/json', ...headers },
})

export const chat = (request: object = {}) =>
  JSON.stringify({ model: 'demo-small', messages: [], ...request })

export async function keyEntry(key: string, name: string) {
  return { digest: await sha256Hex(utf8(key)), name }
}

/** A well-formed envelope to a key that nobody has. */
export async function envelope(issuedMs = NOW, keySet = DIGEST): Promise<SealedRequest> {
  const pair = (await crypto.subtle.generateKey(
    {
      name: 'RSA-OAEP',
      modulusLength: 2048,
      publicExponent: Uint8Array.of(1, 0, 1),
      hash: 'SHA-256',
    },
    true,
    ['encrypt', 'decrypt'],
  )) as CryptoKeyPair
  const spki = (await crypto.subtle.exportKey('spki', pair.publicKey)) as ArrayBuffer
  return sealRequest(
    await importTransportKey(new Uint8Array(spki)),
    {
      workload: 'demo',
      endpoint: '/v1/chat/completions',
      expect: {
        key_set: keySet,
        metering: 'required',
        seal_policy: 'request',
        workload: DIGEST,
      },
      input: utf8('hello'),
      instructions: async () => '',
    },
    issuedMs,
  )
}

/** A receipt of the right form, of a session that was aborted; nothing in it is signed. */
export const abortedReceipt = encodeReceipt({
  checkpoint: 'x',
  document: DIGEST,
  index: 0,
  leaf: {
    kind: 'session',
    session: ID,
    statements: [
      {
        caller: 'anonymous',
        door: 'plain',
        endpoint: '/v1/chat/completions',
        mono_us: '1',
        operation: 'update',
        seq: 0,
        type: 'request.received',
        utc_ms: NOW,
        workload: 'demo',
        workload_digest: DIGEST,
      },
      {
        at: 'revealed',
        mono_us: '2',
        output_bytes: 0,
        reason: 'workload.failed',
        seq: 1,
        type: 'session.aborted',
        utc_ms: NOW,
      },
    ],
    version: 1,
  },
  path: [],
  quote: { attest: '', signature: '' },
  version: 1,
})
