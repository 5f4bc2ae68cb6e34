// Judges what an ACME server handed over before anything is served with it: a certificate for another key than the
// attested one is never used, whoever signed it.
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { AcmeFailure } from './failure.ts'

export interface Certificate {
  /** PEM: the gateway's certificate, then those above it. */
  chain: string
  /** Milliseconds since 1970. */
  notBefore: number
  notAfter: number
}

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g
const MAX_CERTIFICATES = 10

/** Throws an `AcmeFailure` unless the chain's first certificate is for this key and these names, now. */
export function acceptCertificate(
  chain: string,
  key: KeyObject,
  names: readonly string[],
  now: number,
): Certificate {
  const [leaf, ...above] = parse(chain)
  const refuse = (what: string): never => {
    throw new AcmeFailure(
      'certificate',
      `the certificate that the ACME server issued ${what}; it is not used`,
    )
  }
  if (!leaf) return refuse('is no chain of PEM certificates')
  const spki = (of: KeyObject) => of.export({ type: 'spki', format: 'der' })
  if (!spki(leaf.publicKey).equals(spki(createPublicKey(key))))
    return refuse('is for another key than the gateway’s')
  if (leaf.ca) return refuse('is one that issues others')
  for (const name of names)
    if (leaf.checkHost(name, { subject: 'never' }) === undefined)
      return refuse(`is not for ${name}`)
  let below = leaf
  for (const issuer of above) {
    if (!below.checkIssued(issuer) || !below.verify(issuer.publicKey))
      return refuse('is not signed by what follows it')
    below = issuer
  }
  const notBefore = leaf.validFromDate.getTime()
  const notAfter = leaf.validToDate.getTime()
  if (!(notBefore < notAfter) || notAfter <= now) return refuse('has expired')
  return { chain, notBefore, notAfter }
}

function parse(chain: string): X509Certificate[] {
  const blocks = chain.match(BLOCK) ?? []
  if (blocks.length > MAX_CERTIFICATES) return []
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch {
    return []
  }
}
