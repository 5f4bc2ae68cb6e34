// Statements: what the embassy saw in one session, in order (SPEC.md, "Statements"). They hold no key, no plaintext
// and no score; contents appear as digests under the session's salt.
import * as v from 'valibot'
import { sha256, toHex } from './bytes.ts'
import { expectSchema } from './envelope.ts'
import { parseCanonical } from './json.ts'
import { hmacSha256 } from './primitives.ts'
import { base64url, check, decimal, digest, hex, integer, name, text } from './schema.ts'
import { unsealedReason } from './unsealed.ts'

const common = { mono_us: decimal, seq: integer(0, 63), utc_ms: integer() }
const statement = <T extends string, E extends v.ObjectEntries>(type: T, entries: E) =>
  v.strictObject({ ...common, type: v.literal(type), ...entries })

/** A firewall reading: the loaded text's digest, and what the chain refused since the replica started. */
const sealReading = {
  dropped_packets: integer(),
  rejected_packets: integer(),
  ruleset_digest: digest,
}

/** What a session finds where it is sealed: the replica, and who else is or was in it. */
const sealed = {
  ...sealReading,
  generation: integer(),
  image: digest,
  probes: v.strictObject({ age_ms: integer(), blocked: integer(), reached: integer() }),
  replica: integer(0, 255),
  sessions_before: integer(),
  /** Other sessions that are open in this replica. */
  sessions_overlapping: integer(),
  /** Callers of these and of this one. */
  tenants: integer(1),
}

export const ABORT_REASONS = [
  'client.gone',
  'deadline',
  'embassy.restarted',
  'relay.lost',
  'replica.lost',
  'seal.breached',
  'seal.failed',
  'workload.failed',
  'workload.refused',
  'workload.too_large',
  'activations.missing',
  'activations.invalid',
  'registry.refused',
  'internal.error',
] as const
export type AbortReason = (typeof ABORT_REASONS)[number]

export const statementSchema = v.variant('type', [
  statement('request.received', {
    caller: text(64),
    door: v.picklist(['envelope', 'plain']),
    endpoint: text(64),
    /** Envelope door: what the client insisted on, echoed. */
    expect: v.exactOptional(expectSchema),
    /** Envelope door: SHA-256 of the header, which names the tokens' digests. */
    header_digest: v.exactOptional(digest),
    /** Plain door: HMAC of the body's digest under the salt given beside the receipt. */
    input_digest: v.exactOptional(digest),
    nonce: v.exactOptional(base64url(64)),
    operation: v.picklist(['update', 'write', 'read']),
    transport_key: v.exactOptional(digest),
    workload: name,
    workload_digest: digest,
  }),
  statement('seal.enforced', {
    ...sealed,
    egress_open_ms: integer(),
    /** Policies `epoch` and `permanent`: the epoch that begins with this seal. */
    epoch: v.exactOptional(hex(16)),
    policy: v.picklist(['request', 'epoch', 'permanent']),
  }),
  statement('seal.joined', {
    ...sealed,
    epoch: hex(16),
    policy: v.picklist(['epoch', 'permanent']),
    /** When the reading was taken. */
    read_mono_us: decimal,
  }),
  /** In the place of either, on a machine that cannot seal. */
  statement('seal.absent', { reason: unsealedReason }),
  /** No TPM counted this session, and none quotes it: its receipt has no quote. */
  statement('tpm.absent', {}),
  statement('input_key.revealed', { to: v.picklist(['relay', 'workload']) }),
  statement('activations.observed', {
    content_digest: digest,
    hidden: integer(1),
    layers: integer(1),
    model: digest,
    tokens: integer(1),
  }),
  statement('registry.applied', {
    attribution: name,
    /** Salted digests of the meter changes, one per capability that has signatures of this model. */
    changes: v.pipe(v.array(digest), v.maxLength(256)),
    metered: v.boolean(),
    operation: v.picklist(['update', 'write']),
    registry_version: integer(),
  }),
  statement('seal.checked', sealReading),
  statement('output.committed', {
    output_bytes: integer(),
    output_digest: digest,
    status: integer(100, 599),
  }),
  statement('seal.released', { sealed_us: decimal }),
  statement('seal.kept', {
    epoch: hex(16),
    /** How long this session was sealed; the epoch goes on. */
    sealed_us: decimal,
    /** Other sessions that were open in this replica at any time of this one, and the callers of all. */
    sessions_overlapping: integer(),
    tenants: integer(1),
  }),
  statement('response.released', { to: v.literal('gateway') }),
  statement('registry.read', {
    authority: hex(16),
    reading_digest: digest,
    registry_version: integer(),
  }),
  statement('session.aborted', {
    at: v.picklist(['sealed', 'revealed', 'committed']),
    output_bytes: integer(),
    reason: v.picklist(ABORT_REASONS),
  }),
  statement('epoch.begun', {
    ...sealReading,
    generation: integer(),
    image: digest,
    policy: v.picklist(['epoch', 'permanent']),
    replica: integer(0, 255),
  }),
  statement('epoch.ended', {
    /** What became of the replica: its seal was let go, or it was destroyed under it. */
    how: v.picklist(['released', 'destroyed']),
    /** Why it was destroyed, where that was not the plan. */
    reason: v.exactOptional(v.picklist(ABORT_REASONS)),
  }),
])
export type Statement = v.InferOutput<typeof statementSchema>
export type StatementType = Statement['type']
/** The members that one type of statement adds to the common ones. */
export type StatementFields<T extends StatementType> = Omit<
  Extract<Statement, { type: T }>,
  'mono_us' | 'seq' | 'utc_ms' | 'type'
>

const sessionLeaf = v.strictObject({
  kind: v.literal('session'),
  session: hex(16),
  statements: v.pipe(v.array(statementSchema), v.minLength(2), v.maxLength(32)),
  version: v.literal(1),
})
/** One sealed epoch of a replica, written when it has ended, after all its sessions. */
const epochLeaf = v.strictObject({
  epoch: hex(16),
  kind: v.literal('epoch'),
  statements: v.pipe(v.array(statementSchema), v.minLength(2), v.maxLength(3)),
  version: v.literal(1),
})
/** How far a restored backup had counted, and how far the TPM: what lies between is in no log of this machine. */
const bootGap = v.strictObject({ counter_database: decimal, counter_tpm: decimal })
export type BootGap = v.InferOutput<typeof bootGap>
/** First leaf of each boot's log: which boot this is, and with which tree and checkpoint the log before it ended. */
const bootLeaf = v.strictObject({
  gap: v.exactOptional(bootGap),
  key_set: digest,
  kind: v.literal('boot'),
  previous: v.exactOptional(
    v.strictObject({ checkpoint_digest: digest, origin: text(128), root: digest, size: integer() }),
  ),
  started_ms: integer(),
  version: v.literal(1),
})
export const leafSchema = v.variant('kind', [sessionLeaf, epochLeaf, bootLeaf])
export type Leaf = v.InferOutput<typeof leafSchema>
export type SessionLeaf = v.InferOutput<typeof sessionLeaf>
export type EpochLeaf = v.InferOutput<typeof epochLeaf>
export const sessionLeafSchema = sessionLeaf
/** Of any leaf but the first of a log. */
export const laterLeafSchema = v.variant('kind', [sessionLeaf, epochLeaf])
export type BootLeaf = v.InferOutput<typeof bootLeaf>

/** Parses a boot leaf's canonical bytes; throws `json.*` or `receipt.invalid`. */
export const parseBootLeaf = (bytes: Uint8Array): BootLeaf =>
  check(bootLeaf, parseCanonical(bytes), 'boot leaf', 'receipt.invalid')

export const parseSessionLeaf = (value: unknown): SessionLeaf =>
  check(sessionLeaf, value, 'leaf', 'receipt.invalid')

/** HMAC-SHA256 under the session's salt of the SHA-256 of some content: what stands for it in a statement. */
export const contentDigest = async (salt: Uint8Array, contentSha256: Uint8Array): Promise<string> =>
  toHex(await hmacSha256(salt, contentSha256))

export const saltedDigest = async (salt: Uint8Array, content: Uint8Array): Promise<string> =>
  contentDigest(salt, await sha256(content))
