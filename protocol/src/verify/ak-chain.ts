// The certificate chain of an attestation key: its leaf is a signing key, and this very one.
import 'reflect-metadata'
import { KeyUsageFlags, KeyUsagesExtension } from '@peculiar/x509'
import type { Bytes } from '../bytes.ts'
import type { AttestationPublicKey } from '../quote.ts'
import { checkChain } from './chain.ts'
import { ensure } from './checks.ts'
import { GCE_INSTANCE_OID } from './gce-instance.ts'

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
