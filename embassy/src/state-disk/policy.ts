// The policy under which a TPM gives out the key of the state partition, computed as a TPM computes it (Part 1,
// section 19.7, and the commands of Part 3, chapter 23). Pure: the tool that signs approvals needs no TPM.
//
// Three layers, and who decides about each:
//   approval   PolicyPCR: the PCRs hold what this image leaves in them. Signed at release, for each security version
//              that the image may open; so the next image opens what this one made.
//   parent     PolicyAuthorize(policy key, security version): guards a storage key that any TPM makes from its own seed
//              and this template. Nothing is made or loaded below it but by an approved image, so a disk whose key
//              somebody else chose cannot be slipped in: the other system that he boots for that is not approved.
//   secret     the parent's policy and PolicyNV(counter ≤ limit): raising the counter ends every earlier secret for
//              good, since a counter never goes back, not even when it is removed and defined anew.

import { concat, SealedError, utf8 } from '@sealed/protocol'
import { sha256 } from '../digests.ts'
import { NULL, pcrSelection, SHA256 } from '../tpm/commands.ts'
import { sized, u16, u32 } from '../tpm/marshal.ts'
import { AT_MOST, COMMAND } from '../tpm/policy-commands.ts'

/** 4 boot applications, 7 Secure Boot, 9 and 11 kernel, initrd and command line, 12 what overrides them. */
export const IMAGE_PCRS = [4, 7, 9, 11, 12] as const
/**
 * Zero while the state is opened: 13, system extensions, which the image has none of; 14, into which the embassy extends
 * its keys, so that nothing that runs after it has the key out of the TPM until the next boot.
 * PCR 0 is not among them, as the host's firmware changes without us; nor 1, 2, 3 and 5, which are the machine's.
 */
export const ZERO_PCRS = [13, 14] as const
export const STATE_PCRS: readonly number[] = [...IMAGE_PCRS, ...ZERO_PCRS]

/** Holds the counter that ends earlier secrets; one state partition for each TPM. */
export const STATE_COUNTER = 0x0150001a

/** Security versions are small: an approval carries a signature for each that it may open. */
export const MOST_SECURITY_VERSIONS = 64

const START = new Uint8Array(32)
const name = (area: Uint8Array) => concat(u16(SHA256), sha256(area))
const extend = (policy: Uint8Array, ...parts: Uint8Array[]) => digest(policy, ...parts)
const digest = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(sha256(concat(...parts)))

/** SHA-256 over the values of STATE_PCRS in ascending order. */
export function pcrDigest(values: ReadonlyMap<number, Uint8Array>): Uint8Array {
  return digest(
    ...STATE_PCRS.map((pcr) => {
      const value = values.get(pcr)
      if (value?.length !== 32)
        throw new SealedError('config.invalid', `PCR ${pcr} has no SHA-256 value`)
      return value
    }),
  )
}

/** What an approval signs: the digest of PolicyPCR alone. */
export const approvedPolicy = (values: ReadonlyMap<number, Uint8Array>): Uint8Array =>
  extend(START, u32(COMMAND.policyPcr), pcrSelection(STATE_PCRS), pcrDigest(values))

/** The policyRef that an approval is signed with. */
export const policyRef = (securityVersion: number): Uint8Array =>
  concat(utf8('sealed/state/v1\0'), u32(securityVersion))

/** What the policy key signs: SHA-256 over this. Any P-256 signer will do, a hardware module too. */
export const approvedBytes = (policy: Uint8Array, securityVersion: number): Uint8Array =>
  concat(policy, policyRef(securityVersion))

/** PolicyAuthorize: whoever asserts a policy that this key approved for this security version. */
export const authorizedPolicy = (keyName: Uint8Array, securityVersion: number): Uint8Array =>
  extend(extend(START, u32(COMMAND.policyAuthorize), keyName), policyRef(securityVersion))

/** A counter's value, or a bound on it, as NV holds it. */
export function counterBytes(value: bigint): Uint8Array {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, value)
  return out
}

/** The same, and PolicyNV: the counter is at most `limit`. */
export function secretPolicy(keyName: Uint8Array, securityVersion: number, limit: bigint) {
  const condition = digest(counterBytes(limit), u16(0), u16(AT_MOST))
  const before = authorizedPolicy(keyName, securityVersion)
  return extend(before, u32(COMMAND.policyNv), condition, COUNTER_NAME)
}

/** TPMA_NV of a counter that anybody may read and raise: to raise it destroys, and whoever has the disk can do that. */
export const COUNTER_ATTRIBUTES = 0x02060016
const WRITTEN = 0x20000000

/** The Name covers the index's type: one defined anew as anything but a counter is another index to the TPM. */
const COUNTER_NAME = name(
  concat(u32(STATE_COUNTER), u16(SHA256), u32(COUNTER_ATTRIBUTES | WRITTEN), u16(0), u16(8)),
)

/** TPMT_PUBLIC of the policy key, an ECDSA P-256 key from a JWK, in the form that tpm2-tools give an outside key. */
export function policyKeyArea(jwk: JsonWebKey): Uint8Array {
  if (jwk.kty !== 'EC' || jwk.crv !== 'P-256' || !jwk.x || !jwk.y)
    throw new SealedError('config.invalid', 'the policy key is no ECDSA key on P-256')
  const point = [jwk.x, jwk.y].map((part) => sized(Buffer.from(part, 'base64url')))
  // userWithAuth | decrypt | sign; no symmetric algorithm, no scheme, NIST P-256, no KDF.
  const head = concat(u16(ECC), u16(SHA256), u32(0x00060040), u16(0), u16(NULL), u16(NULL))
  return concat(head, u16(P256), u16(NULL), ...point)
}

export const keyName = name

const ECC = 0x0023
const P256 = 0x0003
const KEYEDHASH = 0x0008
/** fixedTPM | fixedParent | noDA. */
const OURS = 0x00000412

/**
 * Template of the parent: a storage key on P-256 (AES-128-CFB) that a TPM remakes from its own seed. userWithAuth is
 * not set: it is used under its policy or not at all.
 */
export function parentTemplate(keyName: Uint8Array, securityVersion: number): Uint8Array {
  // And sensitiveDataOrigin | restricted | decrypt.
  const head = concat(u16(ECC), u16(SHA256), u32(OURS | 0x00030020))
  const policy = sized(authorizedPolicy(keyName, securityVersion))
  const aes128cfb = concat(u16(0x0006), u16(128), u16(0x0043))
  return concat(head, policy, aes128cfb, u16(NULL), u16(P256), u16(NULL), u16(0), u16(0))
}

/** Template of the secret; adminWithPolicy, so that no empty password stands in for the policy anywhere. */
export function secretTemplate(policy: Uint8Array): Uint8Array {
  return concat(u16(KEYEDHASH), u16(SHA256), u32(OURS | 0x80), sized(policy), u16(NULL), u16(0))
}
