// An attestation document as people keep it: the bytes that a gateway serves, its whole answer to a nonce, or either of
// them after a formatter went over it. A document's digest is over its canonical form, so white space is no danger.
import {
  type AttestationDocument,
  type Bytes,
  canonicalBytes,
  fromUtf8,
  type Json,
  parseAttestationDocument,
  parseStrict,
  SealedError,
} from '@sealed/protocol'
import { kindOf } from './receipt-source.ts'

/** Throws `evidence.invalid` naming the file and what is wrong with it. */
export function readDocument(bytes: Bytes, path: string): AttestationDocument {
  let kind: string | undefined
  try {
    const value = documentIn(parseStrict(fromUtf8(bytes)))
    if (typeof value === 'object' && value !== null) kind = kindOf(value)
    return parseAttestationDocument(canonicalBytes(value))
  } catch (cause) {
    const said = cause instanceof SealedError ? cause.message : 'malformed'
    const why = kind && !kind.startsWith('an attestation document') ? `it is ${kind}` : said
    throw new SealedError('evidence.invalid', `${path} is no attestation document: ${why}`, {
      param: 'document',
      cause,
    })
  }
}

/** `GET /v1/attestation` answers `{challenge?, document}`. */
function documentIn(value: Json): Json {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject && value.document !== undefined ? value.document : value
}
