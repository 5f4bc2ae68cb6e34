// The key of the state partition inside the TPM: sealed below an approved parent, and had out again.
// Each function is one job on the TPM, and leaves nothing loaded there. The key passes the bus in clear: on a cloud's
// vTPM the host is at both of its ends, and a session that encrypted it would be salted to a key that the host holds.
import { randomBytes } from 'node:crypto'
import { concat, equal, SealedError } from '@sealed/protocol'
import { sha256 } from '../digests.ts'
import { createPrimary, flushContext, HANDLE, pcrRead, policySession } from '../tpm/commands.ts'
import { type Execute, TpmRefusal } from '../tpm/link.ts'
import { sized, u16 } from '../tpm/marshal.ts'
import { findIndex, readCounter } from '../tpm/nv.ts'
import { type Blob, create, load, unseal } from '../tpm/object-commands.ts'
import {
  loadExternal,
  policyAuthorize,
  policyNvAtMost,
  policyPcr,
  startPolicySession,
  verifySignature,
} from '../tpm/policy-commands.ts'
import { type Approval, approvalOf } from './approvals.ts'
import * as policy from './policy.ts'

/** What the running image is: built into it, but for the approvals. */
export interface Image {
  /** TPMT_PUBLIC of the policy key. */
  readonly policyKey: Uint8Array
  readonly securityVersion: number
  readonly approvals: readonly Approval[]
}

/** A key that only the TPM which sealed it opens again. Everything but `blob` is a claim that the blob must bear out. */
export interface SealedKey {
  readonly securityVersion: number
  /** The counter's value above which it is dead. */
  readonly limit: bigint
  /** Name of the parent: tells another TPM from an altered blob. */
  readonly parent: Uint8Array
  readonly blob: Blob
}

/** Seals `key` under the image's own security version, to live while the counter is at most `limit`. */
export function sealKey(execute: Execute, image: Image, key: Uint8Array, limit: bigint) {
  const { securityVersion } = image
  return below(execute, image, securityVersion, async ({ parent, name, session, approve }) => {
    const own = policy.secretPolicy(keyName(image), securityVersion, limit)
    await approve()
    const by = policySession(session)
    const blob = await execute(create(parent, policy.secretTemplate(own), key, by))
    return { securityVersion, limit, parent: name, blob } satisfies SealedKey
  })
}

/** @throws SealedError `state.locked` that says which condition does not hold */
export function unsealKey(execute: Execute, image: Image, sealed: SealedKey): Promise<Uint8Array> {
  const { securityVersion, limit, blob } = sealed
  return below(
    execute,
    image,
    securityVersion,
    async ({ parent, name, session, approve, keep }) => {
      if (!equal(name, sealed.parent))
        throw locked(
          'this state was sealed by another TPM, or for another policy key: attach it to the machine that made it, ' +
            'or boot an image built with the same policy key',
        )
      await checkCounter(execute, limit)
      const own = policy.secretPolicy(keyName(image), securityVersion, limit)
      const expected = policy.secretTemplate(own).slice(0, -2)
      if (!equal(blob.public.slice(0, expected.length), expected))
        throw locked(
          'the sealed key is not under the policy that its token claims: the token was altered',
        )
      const by = policySession(session)
      await approve()
      const object = keep(await execute(load(parent, blob, by)).catch(alteredOr))
      await approve()
      await execute(policyNvAtMost(session, policy.STATE_COUNTER, policy.counterBytes(limit)))
      return await execute(unseal(object, by)).catch(refusedOr)
    },
  )
}

const keyName = (image: Image) => policy.keyName(image.policyKey)
const locked = (message: string, cause?: unknown) =>
  new SealedError('state.locked', message, { cause })

/** What a parent says of a blob that it did not make (INTEGRITY), or that is none (SIZE, INSUFFICIENT and the like). */
function alteredOr(error: unknown): never {
  if (error instanceof TpmRefusal && error.responseCode & 0x40)
    throw locked(`the sealed key was altered, or is not this state's: ${error.message}`, error)
  throw error
}

/** What PolicyNV would refuse, in words; and a counter behind every key of this TPM, which it would not. */
async function checkCounter(execute: Execute, limit: bigint): Promise<void> {
  if (!(await findIndex(execute, policy.STATE_COUNTER)))
    throw locked(
      'the counter that this state is sealed to was removed from the TPM: its key is gone',
    )
  const counter = await readCounter(execute, policy.STATE_COUNTER)
  if (counter > limit)
    throw locked(
      `downgrade: the TPM's counter is ${counter}, and this key ended at ${limit}: this copy of the disk's header is ` +
        'of before a higher security version took the state over (attach the current disk), or the counter was raised',
    )
  // A key is sealed one ahead at the most.
  if (counter + 1n < limit)
    throw locked(
      `the TPM's counter is ${counter}, and this key was sealed at ${limit - 1n} or later: this TPM was set back`,
    )
}

/** The TPM's own word, where the policy is asserted and is not the secret's: the counter is no counter, or another. */
function refusedOr(error: unknown): never {
  if (error instanceof TpmRefusal)
    throw locked(`the TPM does not give out this state's key: ${error.message}`, error)
  throw error
}

interface Below {
  readonly parent: number
  readonly name: Uint8Array
  readonly session: number
  /** Has the session assert what the parent asks for; each use of it takes that up. */
  approve(): Promise<void>
  /** Flushes this object too at the end. */
  keep(handle: number): number
}

async function below<T>(
  execute: Execute,
  image: Image,
  securityVersion: number,
  job: (below: Below) => Promise<T>,
): Promise<T> {
  const { signature, digest } = await approvedNow(execute, image, securityVersion)
  const loaded: number[] = []
  const keep = (handle: number) => {
    loaded.push(handle)
    return handle
  }
  try {
    const ticket = await approvalTicket(execute, image.policyKey, digest.bytes, signature)
    const template = policy.parentTemplate(keyName(image), securityVersion)
    const made = await execute(createPrimary(template, HANDLE.owner))
    const parent = keep(made.handle)
    const session = keep(await execute(startPolicySession(randomBytes(32))))
    const approved = {
      policy: digest.policy,
      ref: policy.policyRef(securityVersion),
      keyName: keyName(image),
      ticket,
    }
    const approve = async () => {
      await execute(policyPcr(session, digest.pcrs, policy.STATE_PCRS))
      await execute(policyAuthorize(session, approved))
    }
    return await job({ parent, name: made.name, session, approve, keep })
  } finally {
    // After a lost connection there is nothing left to flush, and nobody to ask.
    for (const handle of loaded.reverse())
      await execute(flushContext(handle)).catch(() => undefined)
  }
}

/** The approval of the PCRs as they are now, for this security version. */
async function approvedNow(execute: Execute, image: Image, securityVersion: number) {
  const { selected, digests } = await execute(pcrRead(policy.STATE_PCRS))
  const pcrs = new Map(selected.map((pcr, i) => [pcr, digests[i]!]))
  const { name, signatures } = approvalOf(image.approvals, pcrs)
  const signature = signatures.get(securityVersion)
  if (!signature)
    throw locked(
      `pcr-policy.json approves this boot (${name}) for security versions ${[...signatures.keys()].join(', ')}, ` +
        `and the state is of ${securityVersion}: its release does not take that over`,
    )
  const approved = policy.approvedPolicy(pcrs)
  const bytes = policy.approvedBytes(approved, securityVersion)
  return { signature, digest: { bytes, policy: approved, pcrs: policy.pcrDigest(pcrs) } }
}

/** Has the TPM check the approval's signature; the ticket is its word for that. */
async function approvalTicket(
  execute: Execute,
  area: Uint8Array,
  bytes: Uint8Array,
  signature: Uint8Array,
): Promise<Uint8Array> {
  const ecdsaSha256 = concat(u16(0x0018), u16(0x000b))
  const parts = [signature.subarray(0, 32), signature.subarray(32)].map(sized)
  const key = await execute(loadExternal(area, HANDLE.owner))
  try {
    return await execute(verifySignature(key.handle, sha256(bytes), concat(ecdsaSha256, ...parts)))
  } catch (error) {
    if (!(error instanceof TpmRefusal)) throw error
    throw locked(
      `pcr-policy.json is not signed by the policy key that this image was built with: ${error.message}`,
      error,
    )
  } finally {
    await execute(flushContext(key.handle)).catch(() => undefined)
  }
}
