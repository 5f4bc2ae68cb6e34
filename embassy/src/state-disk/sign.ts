// Signs approvals at release, with the private half of the policy key. Never part of an image.
// Whoever has that key can approve an image that gives every state away, and without it no later image opens any.
import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { SealedError } from '@sealed/protocol'
import type { Approval } from './approvals.ts'
import {
  approvedBytes,
  approvedPolicy,
  IMAGE_PCRS,
  MOST_SECURITY_VERSIONS,
  policyKeyArea,
  ZERO_PCRS,
} from './policy.ts'

export interface ToApprove {
  readonly name: string
  /** Values of IMAGE_PCRS, each 32 bytes, as they are when the state is opened. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>
}

/**
 * Signatures for every security version from `oldest`, the first whose state this image may take over, to its own.
 * @throws SealedError `config.invalid`
 */
export function signApprovals(
  key: KeyObject,
  sets: readonly ToApprove[],
  versions: { oldest: number; own: number },
): Approval[] {
  const { oldest, own } = versions
  if (!(oldest >= 1 && oldest <= own && own <= MOST_SECURITY_VERSIONS))
    throw new SealedError(
      'config.invalid',
      `security versions ${oldest} to ${own}: must rise from 1 to ${MOST_SECURITY_VERSIONS}`,
    )
  policyKeyArea(createPublicKey(key).export({ format: 'jwk' }))
  return sets.map(({ name, pcrs }) => {
    const odd = [...pcrs.keys()].find((pcr) => !IMAGE_PCRS.some((known) => known === pcr))
    if (odd !== undefined)
      throw new SealedError('config.invalid', `${name}: PCR ${odd} is no part of the policy`)
    const zeros = ZERO_PCRS.map((pcr) => [pcr, new Uint8Array(32)] as const)
    const all = new Map([...pcrs, ...zeros].toSorted(([a], [b]) => a - b))
    const policy = approvedPolicy(all)
    const signatures = new Map<number, Uint8Array>()
    for (let version = oldest; version <= own; version++) {
      const options = { key, dsaEncoding: 'ieee-p1363' } as const
      signatures.set(version, sign('sha256', approvedBytes(policy, version), options))
    }
    return { name, pcrs: all, signatures }
  })
}
