// A machine that cannot seal says so: in its configuration, in each session and in each checkpoint. No policy accepts it.
import * as v from 'valibot'

/** Why: another system than Linux; neither root nor its rights; no engine, firewall or TPM, and no way to install them. */
export const UNSEALED_REASONS = ['system', 'privileges', 'software'] as const
export type UnsealedReason = (typeof UNSEALED_REASONS)[number]

export const unsealedReason = v.picklist(UNSEALED_REASONS)

/** In place of an attestation key's name in the checkpoints of a machine without a TPM. */
export const NO_TPM = 'absent'

/** What a verifier says of it. */
export const notSealed = (reason: UnsealedReason): string =>
  `this machine neither seals nor has a TPM (${WORDS[reason]}): nothing keeps the input in, and nobody vouches for what ran`

const WORDS: Record<UnsealedReason, string> = {
  system: 'its system is not Linux',
  privileges: 'the embassy ran without the rights that it takes',
  software: 'the software that it takes was not there',
}
