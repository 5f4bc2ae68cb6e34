// TPM 2.0 commands of policy sessions (Part 3, chapters 11, 20 and 23): open one, assert in it, and have a signature
// checked that an assertion leans on.
// Pure, as commands.ts is. Sessions are neither salted nor bound: what passes on the way to the TPM can be read there.
import { concat } from '@sealed/protocol'
import { authorized, type Command, NULL, nothing, pcrSelection, plain, SHA256 } from './commands.ts'
import { type Reader, sized, u8, u16, u32 } from './marshal.ts'

const NULL_HANDLE = 0x40000007
const POLICY_SESSION = 1
/** TPM_EO_UNSIGNED_LE. */
export const AT_MOST = 0x0009

export const COMMAND = { policyPcr: 0x17f, policyAuthorize: 0x16a, policyNv: 0x149 } as const

const done = () => undefined

/** Opens a policy session over SHA-256; `nonce` has 16 bytes at least. */
export function startPolicySession(nonce: Uint8Array): Command<number> {
  const parameters = concat(sized(nonce), sized(new Uint8Array()), u8(POLICY_SESSION))
  const body = concat(u32(NULL_HANDLE), u32(NULL_HANDLE), parameters, u16(NULL), u16(SHA256))
  return plain('TPM2_StartAuthSession', 0x176, body, (r) => {
    const handle = r.u32()
    r.sized() // nonceTPM
    return handle
  })
}

/** Asserts that these PCRs have these values: `digest` is SHA-256 over them in ascending order. */
export function policyPcr(session: number, digest: Uint8Array, pcrs: readonly number[]) {
  const body = concat(u32(session), sized(digest), pcrSelection(pcrs))
  return plain('TPM2_PolicyPCR', COMMAND.policyPcr, body, done)
}

/** Puts the key that signed in the place of the policy that it signed, which must be what the session has reached. */
export function policyAuthorize(
  session: number,
  approved: { policy: Uint8Array; ref: Uint8Array; keyName: Uint8Array; ticket: Uint8Array },
) {
  const { policy, ref, keyName, ticket } = approved
  const body = concat(u32(session), sized(policy), sized(ref), sized(keyName), ticket)
  return plain('TPM2_PolicyAuthorize', COMMAND.policyAuthorize, body, done)
}

/** Asserts that the content of an index, as a number, is at most `bound`. */
export function policyNvAtMost(session: number, index: number, bound: Uint8Array) {
  const name = 'TPM2_PolicyNV'
  const body = concat(sized(bound), u16(0), u16(AT_MOST))
  return authorized(name, COMMAND.policyNv, [index, index, session], body, nothing(name))
}

/** Loads a public key (TPMT_PUBLIC) so that its signatures can be checked. */
export function loadExternal(area: Uint8Array, hierarchy: number) {
  const body = concat(sized(new Uint8Array()), sized(area), u32(hierarchy))
  return plain('TPM2_LoadExternal', 0x167, body, (r) => ({ handle: r.u32(), name: r.sized() }))
}

/** Checks a TPMT_SIGNATURE over `digest`; gives the ticket that says so (TPMT_TK_VERIFIED). */
export function verifySignature(key: number, digest: Uint8Array, signature: Uint8Array) {
  const body = concat(u32(key), sized(digest), signature)
  return plain('TPM2_VerifySignature', 0x177, body, (r: Reader) => {
    const head = concat(u16(r.u16()), u32(r.u32()))
    return concat(head, sized(r.sized()))
  })
}
