// What targets begin with: one real session, and keys that are the same in every run, so that a finding can be made
// again from its seed.
import vector from '../../vectors/session.json' with { type: 'json' }
import { parseAttestationDocument, type QuotedDocument } from '../attestation.ts'
import { type Bytes, concat, fromBase64url, fromHex, utf8 } from '../bytes.ts'
import { canonicalBytes } from '../json.ts'
import { type Policy, parsePolicy } from '../policy.ts'
import { decodeReceipt, type Receipt } from '../receipt.ts'

export const NOW: number = vector.now_ms
export const policy: Policy = parsePolicy(JSON.stringify(vector.policy))
export const document = parseAttestationDocument(utf8(vector.document)) as QuotedDocument
export const receipt: Receipt = decodeReceipt(vector.receipt)
export const documentBytes: Bytes = utf8(vector.document)
export const receiptBytes: Bytes = canonicalBytes(receipt)
export const request: Bytes = utf8(vector.request)
export const response: Bytes = utf8(vector.response)
export const salt: Bytes = fromBase64url(vector.salt)

/** The same bytes in every run. */
export const fixed = (byte: number, length = 32): Bytes => new Uint8Array(length).fill(byte)

/** PKCS #8 (RFC 8410) around the 32 bytes of an Ed25519 key. */
const PKCS8 = fromHex('302e020100300506032b657004220420')

export interface Signer {
  publicKey: Bytes
  sign: (bytes: Uint8Array) => Promise<Bytes>
}

export async function signer(byte: number): Promise<Signer> {
  const pkcs8 = concat(PKCS8, fixed(byte))
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign'])
  const { x } = await crypto.subtle.exportKey('jwk', key)
  return {
    publicKey: fromBase64url(x!),
    sign: async (bytes) => new Uint8Array(await crypto.subtle.sign('Ed25519', key, bytes as Bytes)),
  }
}
