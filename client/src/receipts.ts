// What a gateway keeps for later: receipts by id, attestation documents by digest. Both are evidence to be verified.
import {
  type AttestationDocument,
  documentDigest,
  fromUtf8,
  parseAttestationDocument,
  SealedError,
} from '@sealed/protocol'
import type { Gateway } from './gateway.ts'

const MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
const MAX_RECEIPT_BYTES = 65_536 + 1

/** The document with this digest; throws `evidence.invalid` when the gateway sends another. */
export async function fetchDocument(
  gateway: Gateway,
  digest: string,
  signal?: AbortSignal,
): Promise<AttestationDocument> {
  const bytes = await gateway.get(`/v1/attestation/${digest}`, MAX_DOCUMENT_BYTES, signal)
  const document = parseAttestationDocument(bytes)
  if ((await documentDigest(document)) === digest) return document
  throw new SealedError('evidence.invalid', `${gateway.url} sent another document than ${digest}`)
}

/** The receipt with this id, base64url. */
export async function fetchReceipt(
  gateway: Gateway,
  id: string,
  signal?: AbortSignal,
): Promise<string> {
  if (!/^[0-9a-f]{32}$/.test(id))
    throw new SealedError('request.invalid', 'a receipt id is 16 bytes of lower-case hex')
  return fromUtf8(await gateway.get(`/v1/receipts/${id}`, MAX_RECEIPT_BYTES, signal)).trim()
}
