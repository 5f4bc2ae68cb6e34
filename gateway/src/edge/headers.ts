// Headers that the edge writes or lets through, each by its name.
import type { Checked } from './machine.ts'

export const EDGE_ATTESTATION = 'sealed-edge-attestation'

/** What was checked before a request was forwarded. It is this edge's word, for operators to look at; it proves nothing. */
export const edgeAttestation = ({ document, policy }: Checked): Record<string, string> => ({
  [EDGE_ATTESTATION]: `${document}; verified; ${policy}`,
})

export const RATE_HEADERS = [
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
]
