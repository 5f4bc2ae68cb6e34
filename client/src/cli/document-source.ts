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

/** Throws `evidence.invalid` naming the file and what is wrong with it. */
export function readDocument(bytes: Bytes, path: string): AttestationDocument {
  try {
    return parseAttestationDocument(canonicalBytes(documentIn(parseStrict(fromUtf8(bytes)))))
  } catch (cause) {
    const why = cause instanceof SealedError ? cause.message : 'malformed'
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
