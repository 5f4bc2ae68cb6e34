// The key set of one boot and what it is bound to: K is its digest, K is in PCR 14 and in every quote's extraData.
// Transport keys are not in K: they rotate, each under a signature of the ledger key.
import * as v from 'valibot'
import { type Bytes, concat, fromBase64url, sha256, sha256Hex, utf8 } from './bytes.ts'
import { ed25519Holds } from './ed25519.ts'
import { SealedError } from './errors.ts'
import { canonicalBytes } from './json.ts'
import { base64url, digest, integer } from './schema.ts'

export const keySetSchema = v.strictObject({
  /** Raw Ed25519 public key that signs checkpoints and transport keys. */
  ledger_key: v.pipe(base64url(32), v.length(43)),
  /** SHA-256 of the gateway's TLS SubjectPublicKeyInfo; absent where TLS is off. */
  tls_spki_digest: v.exactOptional(digest),
  version: v.literal(1),
})
export type KeySet = v.InferOutput<typeof keySetSchema>

export const transportKeySchema = v.strictObject({
  id: digest,
  not_after_ms: integer(),
  not_before_ms: integer(),
  signature: v.pipe(base64url(64), v.length(86)),
  spki: base64url(1024),
  version: v.literal(1),
})
export type TransportKeyRecord = v.InferOutput<typeof transportKeySchema>

/** K = SHA-256 of the key set in canonical form. */
export const keySetDigest = (keySet: KeySet): Promise<Bytes> => sha256(canonicalBytes(keySet))

/** The bytes that the ledger key signs for a transport key. */
export function transportKeyMessage(record: Omit<TransportKeyRecord, 'signature'>): Bytes {
  const { id, not_after_ms, not_before_ms, spki, version } = record
  return concat(
    utf8('sealed/transport-key/v1\0'),
    canonicalBytes({ id, not_after_ms, not_before_ms, spki, version }),
  )
}

/** True when the ledger key signed this record and its id is the digest of its key. */
export async function transportKeyIsSigned(
  record: TransportKeyRecord,
  keySet: KeySet,
): Promise<boolean> {
  if ((await sha256Hex(fromBase64url(record.spki))) !== record.id) return false
  return ed25519Holds(
    fromBase64url(keySet.ledger_key),
    fromBase64url(record.signature),
    transportKeyMessage(record),
  )
}

export type QuotePurpose = 'keys' | 'checkpoint' | 'challenge'

/**
 * extraData of every quote: SHA-256(`sealed/quote/<purpose>/v1\0` ‖ K ‖ x). No caller chooses it. Both parts are
 * digests, whose fixed length is what keeps a byte of one from passing for one of the other.
 */
export async function quoteBinding(
  purpose: QuotePurpose,
  k: Uint8Array,
  x: Uint8Array,
): Promise<Bytes> {
  if (k.length !== 32 || x.length !== 32)
    throw new SealedError('evidence.invalid', 'a quote binds two digests of 32 bytes')
  return sha256(utf8(`sealed/quote/${purpose}/v1\0`), k, x)
}

/** PCRs of the application: canonical configuration, then key set. */
export const CONFIGURATION_PCR = 8
export const KEY_SET_PCR = 14
/** PCRs in every quote: boot and application, without IMA's 10 and the resettable ones. */
export const QUOTED_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15]
