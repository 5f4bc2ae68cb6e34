// The TPM as the rest of the embassy sees it.
export type { AttestationKey } from './attestation-key.ts'
export { type Anchor, openTpm, type Quote, type Tpm, type TpmClock } from './tpm.ts'
