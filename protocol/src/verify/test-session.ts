// Sessions of the test machine: what was sent, what came back, and what an honest embassy states about it.
import { toHex, utf8 } from '../bytes.ts'
import { importTransportKey, type SealedRequest, sealRequest } from '../envelope.ts'
import { encodeReceipt } from '../receipt.ts'
import { sessionSalt } from '../response.ts'
import { type Statement, saltedDigest } from '../statement.ts'
import { hexOf, type Lies, makeReceipt, NOW, type World } from './test-world.ts'
import type { ReceiptInput } from './verify-receipt.ts'

/** What was sent, what came back, and what an honest embassy stated about it. */
export interface Session {
  statements: Statement[]
  given: Omit<ReceiptInput, 'receipt' | 'document'>
}

type Draft = Statement extends infer S
  ? S extends Statement
    ? Omit<S, 'seq' | 'utc_ms' | 'mono_us'>
    : never
  : never

const numbered = (drafts: readonly Draft[]): Statement[] =>
  drafts.map(
    (draft, seq) =>
      ({ ...draft, seq, utc_ms: NOW + seq, mono_us: String(1000 * (seq + 1)) }) as Statement,
  )

export const OUTPUT = utf8('{"choices":[]}')

export async function envelopeRequest(world: World): Promise<SealedRequest> {
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', world.transport.publicKey))
  const expect = {
    key_set: toHex(world.k),
    metering: 'required',
    seal_policy: 'request',
    workload: hexOf(0xa0),
  } as const
  const request = {
    workload: 'demo',
    endpoint: '/v1/completions',
    expect,
    input: utf8('{"prompt":"hello"}'),
    instructions: async () => '',
  }
  return sealRequest(await importTransportKey(spki), request, NOW)
}

/** `completed`, `aborted` and `reading` came by the envelope door, `plain` by the other. */
export async function makeSession(
  world: World,
  kind: 'completed' | 'aborted' | 'reading' | 'plain',
): Promise<Session> {
  const sealed = await envelopeRequest(world)
  const { header, headerDigest, secrets } = sealed
  const salt = await sessionSalt({ responseSecret: secrets.responseSecret, headerDigest })
  const common = {
    type: 'request.received',
    caller: 'anonymous',
    endpoint: header.endpoint,
    nonce: header.nonce,
    workload: 'demo',
    workload_digest: hexOf(0xa0),
  } as const
  if (kind === 'plain') {
    const input = utf8('{"prompt":"hello"}')
    const input_digest = await saltedDigest(salt, input)
    const received = { ...common, door: 'plain', input_digest, operation: 'update' } as const
    return {
      statements: numbered([received, ...(await answered(salt))]),
      given: { input, nonce: header.nonce, output: OUTPUT, salt },
    }
  }
  const received = {
    ...common,
    door: 'envelope',
    expect: header.expect,
    header_digest: toHex(headerDigest),
    operation: kind === 'reading' ? 'read' : 'update',
    transport_key: header.key_id,
  } as const
  const given = { request: utf8(sealed.body), salt }
  if (kind === 'completed')
    return {
      statements: numbered([received, ...(await answered(salt))]),
      given: { ...given, output: OUTPUT },
    }
  if (kind === 'aborted') {
    const aborted = {
      type: 'session.aborted',
      at: 'revealed',
      output_bytes: 0,
      reason: 'deadline',
    } as const
    return { statements: numbered([received, ...begun(), aborted]), given }
  }
  const read = {
    type: 'registry.read',
    authority: 'ab'.repeat(16),
    reading_digest: await saltedDigest(salt, OUTPUT),
    registry_version: 4,
  } as const
  const released = { type: 'response.released', to: 'gateway' } as const
  return { statements: numbered([received, read, released]), given: { ...given, output: OUTPUT } }
}

const begun = (): Draft[] => [
  {
    type: 'seal.enforced',
    dropped_packets: 0,
    rejected_packets: 0,
    ruleset_digest: hexOf(0xcc),
    egress_open_ms: 0,
    generation: 1,
    image: hexOf(0xa1),
    policy: 'request',
    probes: { age_ms: 900, blocked: 14, reached: 0 },
    replica: 0,
    sessions_before: 0,
    sessions_overlapping: 0,
    tenants: 1,
  },
  { type: 'input_key.revealed', to: 'relay' },
]

const answered = async (salt: Uint8Array): Promise<Draft[]> => [
  ...begun(),
  {
    type: 'activations.observed',
    content_digest: hexOf(0xdd),
    hidden: 128,
    layers: 4,
    model: hexOf(0xa1),
    tokens: 12,
  },
  {
    type: 'registry.applied',
    attribution: 'cosine-max-1',
    changes: [],
    metered: true,
    operation: 'update',
    registry_version: 3,
  },
  { type: 'seal.checked', dropped_packets: 0, rejected_packets: 2, ruleset_digest: hexOf(0xcc) },
  {
    type: 'output.committed',
    output_bytes: OUTPUT.length,
    output_digest: await saltedDigest(salt, OUTPUT),
    status: 200,
  },
  { type: 'seal.released', sealed_us: '183200' },
  { type: 'response.released', to: 'gateway' },
]

/** All that a verifier is given for a session of this machine. */
export async function makeInput(
  world: World,
  session: Session,
  lies: Lies = {},
): Promise<ReceiptInput> {
  const { document, receipt } = await makeReceipt(world, session.statements, lies)
  return { ...session.given, document, receipt: encodeReceipt(receipt) }
}
