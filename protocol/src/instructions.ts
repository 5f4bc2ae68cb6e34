// Instructions to the embassy, sealed under the action key (SPEC.md, "Instructions"): unsigned ones can only ask for
// `update`; write and read are a JWS (RFC 7515, EdDSA) by the authority that owns the capability.
import * as v from 'valibot'
import { type Bytes, fromBase64url, fromUtf8, sha256Hex, toBase64url, utf8 } from './bytes.ts'
import { ed25519Holds } from './ed25519.ts'
import { SealedError } from './errors.ts'
import { canonicalize, parseCanonical } from './json.ts'
import { base64url, check, digest, hex, integer, name } from './schema.ts'

const actionSchema = v.variant('type', [
  v.strictObject({ type: v.literal('update') }),
  v.strictObject({
    /** Goes on where an earlier reading ended: its `next`. */
    after: v.exactOptional(integer(1)),
    type: v.literal('read'),
  }),
  v.strictObject({
    capability: name,
    polarity: v.picklist(['positive', 'negative']),
    type: v.literal('write'),
  }),
])
export type Action = v.InferOutput<typeof actionSchema>

const payloadSchema = v.strictObject({
  action: actionSchema,
  /** Transport key id of the embassy this is meant for. */
  audience: digest,
  /** SHA-256 of the input token that this goes with. */
  input_digest: digest,
  /** The header's nonce: used once. */
  nonce: base64url(32),
})
export type InstructionsPayload = v.InferOutput<typeof payloadSchema>
const jwsHeader = v.strictObject({
  alg: v.literal('EdDSA'),
  kid: hex(16),
  typ: v.literal('sealed-instructions+jws'),
})

/** What an embassy may do after checking: an action, and the authority (key id) that asked for it, if any. */
export interface Instructions {
  action: Action
  authority?: string
}

/** Id of an authority: the first 16 bytes, in hex, of SHA-256 of its raw Ed25519 public key. */
export const authorityId = async (publicKey: Uint8Array): Promise<string> =>
  (await sha256Hex(publicKey)).slice(0, 32)

const invalid = (message: string) => new SealedError('instructions.invalid', message)
const forged = () =>
  new SealedError(
    'instructions.forged',
    'the signature on these instructions is not the authority’s',
  )

/** Signs instructions; `sign` returns the 64-byte Ed25519 signature of the bytes given. */
export async function signInstructions(
  payload: InstructionsPayload,
  authority: { id: string; sign: (bytes: Bytes) => Promise<Uint8Array> | Uint8Array },
): Promise<string> {
  const header = canonicalize({ alg: 'EdDSA', kid: authority.id, typ: 'sealed-instructions+jws' })
  const signed = `${toBase64url(utf8(header))}.${toBase64url(utf8(canonicalize(payload)))}`
  return `${signed}.${toBase64url(await authority.sign(utf8(signed)))}`
}

/**
 * Reads instructions for one request. `authorities` maps id to raw public key: only those this deployment admits.
 * Empty text means `update`. Throws `instructions.invalid`, `.forged` or `.unauthorized`.
 */
export async function readInstructions(
  instructions: string,
  request: { audience: string; inputDigest: string; nonce: string },
  authorities: ReadonlyMap<string, Uint8Array>,
): Promise<Instructions> {
  if (instructions === '') return { action: { type: 'update' } }
  if (instructions.startsWith('{')) {
    const action = checkPayload(instructions, request).action
    if (action.type !== 'update')
      throw new SealedError(
        'instructions.unauthorized',
        `unsigned instructions can only ask for update, not ${action.type}`,
      )
    return { action }
  }
  const parts = instructions.split('.')
  if (parts.length !== 3) throw invalid('neither a JWS nor an unsigned payload')
  const [head, body, mac] = parts.map((part) => part!) as [string, string, string]
  const header = check(jwsHeader, parse(decode(head)), 'JWS header', 'instructions.invalid')
  const publicKey = authorities.get(header.kid)
  if (!publicKey)
    throw new SealedError(
      'instructions.unauthorized',
      `authority ${header.kid} is not one of this deployment’s`,
    )
  if (!(await ed25519Holds(publicKey, bytesOf(mac), utf8(`${head}.${body}`)))) throw forged()
  return { action: checkPayload(decode(body), request).action, authority: header.kid }
}

function checkPayload(
  text: string,
  request: { audience: string; inputDigest: string; nonce: string },
) {
  const payload = check(payloadSchema, parse(text), 'instructions', 'instructions.invalid')
  if (payload.audience !== request.audience) throw invalid('made for another transport key')
  if (payload.input_digest !== request.inputDigest) throw invalid('made for another input')
  if (payload.nonce !== request.nonce) throw invalid('made for another request')
  return payload
}

function decode(part: string): string {
  try {
    return fromUtf8(bytesOf(part))
  } catch {
    throw invalid('a JWS part is not base64url of text')
  }
}

function bytesOf(part: string): Bytes {
  try {
    return fromBase64url(part)
  } catch {
    throw invalid('a JWS part is not base64url')
  }
}

function parse(text: string) {
  try {
    return parseCanonical(text)
  } catch {
    throw invalid('not canonical JSON')
  }
}
