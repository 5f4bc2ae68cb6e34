// The certificate chain of an attestation key: its leaf is a signing key, and this very one.
import 'reflect-metadata'
import { KeyUsageFlags, KeyUsagesExtension, type X509Certificate } from '@peculiar/x509'
import type { Bytes } from '../bytes.ts'
import type { AttestationPublicKey } from '../quote.ts'
import { checkChain } from './chain.ts'
import { ensure } from './checks.ts'
import { GCE_INSTANCE_OID } from './gce-instance.ts'

const OID = { keyUsage: '2.5.29.15', basicConstraints: '2.5.29.19', subjectAltName: '2.5.29.17' }
/** What this verifier understands, and therefore lets stand as critical. */
const UNDERSTOOD: string[] = [OID.keyUsage, OID.basicConstraints, GCE_INSTANCE_OID]
/** Google's older hierarchy names the TPM in a critical subjectAltName of the leaf; nothing is taken from it. */
const IGNORED_IN_LEAF: string[] = [OID.subjectAltName]
const ENCRYPTION =
  KeyUsageFlags.keyEncipherment | KeyUsageFlags.dataEncipherment | KeyUsageFlags.keyAgreement

export interface AkChain {
  /** How long the chain is and where it leads. */
  summary: string
  /** Value of GCE's instance extension in the leaf, where it has one. */
  gceInstance?: Bytes
}

/** Throws `Refusal` unless the chain leads from this key to one of the roots and is valid at `atMs`. */
export async function checkAkChain(
  chain: readonly Bytes[],
  ak: AttestationPublicKey,
  roots: readonly string[],
  atMs: number,
): Promise<AkChain> {
  const certificates = await checkChain(chain, roots, atMs)
  for (const [i, certificate] of certificates.entries()) checkExtensions(certificate, i)
  const leaf = certificates[0]!
  const usage = leaf.getExtension(KeyUsagesExtension)?.usages ?? 0
  ensure((usage & KeyUsageFlags.digitalSignature) !== 0, 'the leaf is not a signing key (KeyUsage)')
  // The endorsement key of the same machine has a certificate of the same form; it can only decrypt.
  ensure((usage & ENCRYPTION) === 0, 'the leaf is an encryption key (KeyUsage)')
  const jwk = await crypto.subtle.exportKey(
    'jwk',
    await leaf.publicKey.export(ak.key.algorithm, ['verify'], crypto),
  )
  const certified = jwk as unknown as Record<string, string>
  ensure(
    Object.entries(ak.jwk).every(([member, value]) => certified[member] === value),
    'the leaf certifies another key',
  )
  const instance = leaf.extensions.find(({ type }) => type === GCE_INSTANCE_OID)
  return {
    summary: `chain of ${chain.length} to ${certificates.at(-1)!.subject}`,
    ...(instance && { gceInstance: new Uint8Array(instance.value) }),
  }
}

/** No extension stands twice, and none is critical that would go unread here. */
function checkExtensions(certificate: X509Certificate, i: number): void {
  const types = certificate.extensions.map(({ type }) => type)
  ensure(new Set(types).size === types.length, `certificate ${i} has an extension twice`)
  for (const { critical, type } of certificate.extensions) {
    const understood = UNDERSTOOD.includes(type) || (i === 0 && IGNORED_IN_LEAF.includes(type))
    ensure(!critical || understood, `certificate ${i} has an unknown critical extension (${type})`)
  }
}
