// The checks every quote goes through, whatever it covers: who signed it, which PCRs it holds, what it is bound to.

import type { QuoteRecord } from '../attestation.ts'
import { type Bytes, equal, fromBase64url, toHex } from '../bytes.ts'
import { type QuotePurpose, quoteBinding } from '../key-set.ts'
import {
  type Attest,
  type AttestationPublicKey,
  parseAttest,
  quoteCovers,
  verifyAttestSignature,
} from '../quote.ts'
import { ensure } from './checks.ts'

/** The quote that must be there. A machine without a TPM says so, and fails; whoever takes a quote off, too. */
export function quoteOf({ quote }: { quote?: QuoteRecord }): QuoteRecord {
  ensure(quote !== undefined, 'there is no quote: no TPM vouches for this')
  return quote
}

export async function quoteSignature(
  quote: QuoteRecord,
  ak: AttestationPublicKey,
): Promise<string> {
  const signed = await verifyAttestSignature(
    ak,
    fromBase64url(quote.attest),
    fromBase64url(quote.signature),
  )
  ensure(signed, 'the attestation key did not sign this quote')
  return `${ak.algorithm} by ${toHex(ak.name)}`
}

export async function quoteSelection(
  quote: QuoteRecord,
  pcrs: ReadonlyMap<number, Bytes>,
): Promise<string> {
  const attest = openAttest(quote)
  ensure(
    await quoteCovers(attest, pcrs),
    'the quoted selection or digest is not that of the PCR values given',
  )
  return `PCRs ${attest.pcrs.join(',')}`
}

export async function quoteBound(
  quote: QuoteRecord,
  purpose: QuotePurpose,
  k: Bytes,
  x: Bytes,
): Promise<string> {
  const expected = await quoteBinding(purpose, k, x)
  ensure(
    equal(openAttest(quote).extraData, expected),
    `extraData is not that of a ${purpose} quote of this key set`,
  )
  return `bound to key set and ${purpose}`
}

export const openAttest = (quote: QuoteRecord): Attest => parseAttest(fromBase64url(quote.attest))
