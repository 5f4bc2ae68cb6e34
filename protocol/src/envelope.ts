// The envelope a client sends to an embassy (SPEC.md, "Envelope"): input and instructions as Fernet tokens under
// keys of their own, the keys wrapped to the embassy's transport key together with the digest of the header, so
// that no part can be moved to another header or swapped under the same one.
import * as v from 'valibot'
import {
  type Bytes,
  concat,
  equal,
  fromBase64url,
  fromUtf8,
  randomBytes,
  readU32be,
  sha256,
  sha256Hex,
  toBase64url,
  utf8,
  writeU32be,
} from './bytes.ts'
import { SealedError } from './errors.ts'
import { authenticateToken, decryptAuthentic, encryptToken, splitKey } from './fernet.ts'
import { canonicalize, parseCanonical } from './json.ts'
import { oaepEncrypt } from './public-keys.ts'
import { base64url, check, digest, integer, name } from './schema.ts'

export const ENVELOPE_TYPE = 'application/vnd.sealed-request+json'
export const SUITE = 'rsa-oaep-256/fernet'
/** Instructions are padded to this size, so that their kind cannot be read off their length. */
export const INSTRUCTIONS_BYTES = 4096
/** How far `issued_ms` may lie from the embassy's clock. */
export const ISSUED_WINDOW_MS = 300_000
/** Bound of the whole envelope as sent. */
export const MAX_ENVELOPE_BYTES = 24 * 1024 * 1024

const TOKEN = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+={0,2}$/, 'must be a Fernet token'))

export const expectSchema = v.strictObject({
  key_set: digest,
  metering: v.picklist(['required', 'optional']),
  seal_policy: v.picklist(['request', 'epoch', 'permanent']),
  workload: digest,
})
/** What the client insists on; the embassy refuses any mismatch before a key is used. */
export type Expect = v.InferOutput<typeof expectSchema>

const headerSchema = v.strictObject({
  endpoint: v.pipe(
    v.string(),
    v.regex(/^\/[a-z0-9/_-]{1,63}$/, 'must be a path of lower-case letters'),
  ),
  expect: expectSchema,
  input_digest: digest,
  instructions_digest: digest,
  issued_ms: integer(),
  key_id: digest,
  nonce: v.pipe(base64url(32), v.length(43, 'must be 32 bytes')),
  stream: v.boolean(),
  suite: v.literal(SUITE),
  version: v.literal(1),
  workload: name,
})
export type EnvelopeHeader = v.InferOutput<typeof headerSchema>

const envelopeSchema = v.strictObject({
  header: base64url(4096),
  input: TOKEN,
  instructions: v.pipe(TOKEN, v.maxLength(8192)),
  keys: v.strictObject({ action: base64url(512), input: base64url(512) }),
})
export type Envelope = v.InferOutput<typeof envelopeSchema>

/** What only client and embassy know of one request. */
export interface RequestSecrets {
  inputKey: Bytes
  responseSecret: Bytes
  tenantSecret: Bytes
}

/** An envelope whose form has been checked; nothing in it has been authenticated yet. */
export interface ParsedEnvelope {
  envelope: Envelope
  header: EnvelopeHeader
  headerBytes: Bytes
  headerDigest: Bytes
}

/** What unwrapping needs of an envelope. */
export interface WrappedKeys {
  envelope: Pick<Envelope, 'instructions' | 'keys'>
  headerDigest: Bytes
}

export interface SealedRequest {
  body: string
  header: EnvelopeHeader
  headerDigest: Bytes
  secrets: RequestSecrets
}

export type TransportPublicKey = { id: string; key: CryptoKey }

const OAEP = { name: 'RSA-OAEP' } as const

/**
 * Imports a transport key's SubjectPublicKeyInfo (DER); its id is the SHA-256 of those bytes, in hex. Throws
 * `evidence.invalid` when they are no RSA key.
 */
export async function importTransportKey(spki: Uint8Array): Promise<TransportPublicKey> {
  const algorithm = { ...OAEP, hash: 'SHA-256' }
  try {
    const key = await crypto.subtle.importKey('spki', spki as Bytes, algorithm, true, ['encrypt'])
    return { id: await sha256Hex(spki), key }
  } catch (cause) {
    throw new SealedError('evidence.invalid', 'the transport key is no RSA key', { cause })
  }
}

/** Makes an envelope. `instructions` is what `padInstructions` pads: empty, unsigned, or a JWS. */
export async function sealRequest(
  to: TransportPublicKey,
  request: {
    workload: string
    endpoint: string
    expect: Expect
    input: Uint8Array
    /** Called with the input token's digest, because signed instructions name it. */
    instructions: (inputDigest: string, nonce: string) => Promise<string>
    stream?: boolean
    tenantSecret?: Uint8Array
  },
  now = Date.now(),
): Promise<SealedRequest> {
  const secrets = {
    inputKey: randomBytes(32),
    responseSecret: randomBytes(32),
    tenantSecret: (request.tenantSecret as Bytes | undefined) ?? randomBytes(32),
  }
  const actionKey = randomBytes(32)
  const nonce = toBase64url(randomBytes(32))
  const input = await encryptToken(secrets.inputKey, request.input, { now })
  const inputDigest = await sha256Hex(utf8(input))
  const padded = padInstructions(await request.instructions(inputDigest, nonce))
  const instructions = await encryptToken(actionKey, padded, { now })
  const header: EnvelopeHeader = {
    endpoint: request.endpoint,
    expect: request.expect,
    input_digest: inputDigest,
    instructions_digest: await sha256Hex(utf8(instructions)),
    issued_ms: now,
    key_id: to.id,
    nonce,
    stream: request.stream ?? false,
    suite: SUITE,
    version: 1,
    workload: request.workload,
  }
  const headerBytes = utf8(canonicalize(header))
  const headerDigest = await sha256(headerBytes)
  const wrap = async (...parts: Uint8Array[]) =>
    toBase64url(await oaepEncrypt(to.key, concat(...parts, headerDigest)))
  const body = canonicalize({
    header: toBase64url(headerBytes),
    input,
    instructions,
    keys: {
      action: await wrap(actionKey),
      input: await wrap(secrets.inputKey, secrets.responseSecret, secrets.tenantSecret),
    },
  })
  return { body, header, headerDigest, secrets }
}

/** Checks the form of an envelope; throws `envelope.invalid`, `envelope.version` or `envelope.too_large`. */
export async function parseEnvelope(body: Uint8Array): Promise<ParsedEnvelope> {
  if (body.length > MAX_ENVELOPE_BYTES)
    throw new SealedError(
      'envelope.too_large',
      `envelope of ${body.length} bytes; the limit is ${MAX_ENVELOPE_BYTES}`,
    )
  const envelope = check(
    envelopeSchema,
    parsePart(body, 'envelope'),
    'envelope',
    'envelope.invalid',
  )
  return { envelope, ...(await parseHeader(fromBase64url(envelope.header))) }
}

/** Checks the form of a header; throws `envelope.invalid` or `envelope.version`. */
export async function parseHeader(headerBytes: Bytes): Promise<Omit<ParsedEnvelope, 'envelope'>> {
  const raw = parsePart(headerBytes, 'header')
  if (typeof raw === 'object' && raw !== null && 'version' in raw && raw.version !== 1)
    throw new SealedError('envelope.version', 'this embassy speaks envelope version 1', {
      param: 'version',
    })
  const header = check(headerSchema, raw, 'header', 'envelope.invalid')
  return { header, headerBytes, headerDigest: await sha256(headerBytes) }
}

function parsePart(bytes: Uint8Array, what: string) {
  try {
    return parseCanonical(bytes)
  } catch (cause) {
    throw new SealedError('envelope.invalid', `${what} is not canonical JSON`, { cause })
  }
}

/** Unwraps `keys.input`. Every failure is the same `envelope.key_mismatch`, whichever byte was wrong. */
export async function unwrapInputKeys(
  transport: CryptoKey,
  parsed: WrappedKeys,
): Promise<RequestSecrets> {
  const plain = await unwrap(transport, parsed.envelope.keys.input, 128, parsed.headerDigest)
  return {
    inputKey: plain.slice(0, 32),
    responseSecret: plain.slice(32, 64),
    tenantSecret: plain.slice(64, 96),
  }
}

/** Unwraps `keys.action`, authenticates the instructions under it and returns their unpadded text. */
export async function openInstructions(transport: CryptoKey, parsed: WrappedKeys): Promise<string> {
  const key = splitKey(
    (await unwrap(transport, parsed.envelope.keys.action, 64, parsed.headerDigest)).slice(0, 32),
  )
  const token = await authenticateToken(key.signing, parsed.envelope.instructions)
  return unpadInstructions(await decryptAuthentic(key.encryption, token))
}

async function unwrap(
  transport: CryptoKey,
  wrapped: string,
  size: number,
  headerDigest: Uint8Array,
) {
  const mismatch = () =>
    new SealedError(
      'envelope.key_mismatch',
      'a wrapped key does not belong to this header and transport key',
    )
  let plain: Bytes
  try {
    plain = new Uint8Array(await crypto.subtle.decrypt(OAEP, transport, fromBase64url(wrapped)))
  } catch {
    throw mismatch()
  }
  if (plain.length !== size || !equal(plain.subarray(size - 32), headerDigest)) throw mismatch()
  return plain
}

/** u32 length, text, zeros up to 4,096 bytes. Throws `instructions.invalid` when the text is too long. */
export function padInstructions(instructions: string): Bytes {
  const content = utf8(instructions)
  if (content.length > INSTRUCTIONS_BYTES - 4)
    throw new SealedError(
      'instructions.invalid',
      `instructions have ${content.length} bytes; at most ${INSTRUCTIONS_BYTES - 4} fit`,
    )
  const out = new Uint8Array(INSTRUCTIONS_BYTES)
  writeU32be(out, 0, content.length)
  out.set(content, 4)
  return out
}

export function unpadInstructions(padded: Bytes): string {
  const invalid = () =>
    new SealedError('instructions.invalid', 'instructions are not padded as the specification says')
  if (padded.length !== INSTRUCTIONS_BYTES) throw invalid()
  const length = readU32be(padded, 0)
  if (length > INSTRUCTIONS_BYTES - 4) throw invalid()
  for (let at = 4 + length; at < padded.length; at++) if (padded[at] !== 0) throw invalid()
  try {
    return fromUtf8(padded.subarray(4, 4 + length))
  } catch {
    throw invalid()
  }
}
