// The certificate chain of an attestation key: leaf to root, each signed by the next, the root pinned by its SHA-256.
// X.509 itself is @peculiar/x509's; what is decided here is what a chain must look like.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
} from '@peculiar/x509'
import { type Bytes, sha256Hex } from '../bytes.ts'
import type { AttestationPublicKey } from '../quote.ts'
import { ensure } from './checks.ts'

/** Throws `Refusal` unless the chain leads from this key to one of the roots and is valid at `atMs`. */
export async function checkAkChain(
  chain: readonly Bytes[],
  ak: AttestationPublicKey,
  roots: readonly string[],
  atMs: number,
): Promise<string> {
  ensure(chain.length >= 2, 'the chain needs a leaf and a root at least')
  const rootDigest = await sha256Hex(chain.at(-1)!)
  ensure(
    roots.includes(rootDigest),
    `root certificate ${rootDigest} is not one that the policy trusts`,
  )
  const certificates = chain.map((der) => new X509Certificate(der))
  for (const [i, certificate] of certificates.entries()) {
    const issuer = certificates[i + 1] ?? certificate
    ensure(certificate.issuer === issuer.subject, `certificate ${i} does not name its issuer`)
    const signed = await certificate.verify({
      publicKey: issuer.publicKey,
      date: new Date(atMs),
      signatureOnly: false,
    })
    ensure(
      signed,
      `certificate ${i} is not signed by the next one or not valid at ${new Date(atMs).toISOString()}`,
    )
    const isCa = certificate.getExtension(BasicConstraintsExtension)?.ca === true
    ensure(isCa === i > 0, i > 0 ? `certificate ${i} is no CA` : 'the leaf is a CA')
  }
  const leaf = certificates[0]!
  const usage = leaf.getExtension(KeyUsagesExtension)?.usages ?? 0
  ensure((usage & KeyUsageFlags.digitalSignature) !== 0, 'the leaf is not a signing key (KeyUsage)')
  const jwk = await crypto.subtle.exportKey(
    'jwk',
    await leaf.publicKey.export(ak.key.algorithm, ['verify'], crypto),
  )
  const certified = jwk as unknown as Record<string, string>
  ensure(
    Object.entries(ak.jwk).every(([member, value]) => certified[member] === value),
    'the leaf certifies another key',
  )
  return `chain of ${chain.length} to ${certificates.at(-1)!.subject}`
}
