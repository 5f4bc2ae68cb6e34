// The next step after an error, in one sentence, for the mistakes that people make.
import type { Code, SealedError } from '@sealed/protocol'
import { GatewayFailure, VerdictError } from '../failure.ts'

const HINTS: Partial<Record<Code, string>> = {
  'gateway.unreachable':
    'Start a gateway with `npm start`, or point --url or SEALED_URL at one that runs.',
  'request.unauthorized':
    'Put a key that the operator admitted into SEALED_API_KEY (`sealed key new NAME` makes one).',
  'request.not_found':
    'Check --url: it must be the root of a sealed gateway, and the one that has it.',
  'evidence.invalid': 'Check --url: it must be the root of a sealed gateway.',
  'instructions.unauthorized':
    'Ask the operator to list this authority’s id and public key in sealed.json.',
  'registry.unknown_capability':
    'Define it first: sealed write CAPABILITY PROMPT --authority FILE.',
  'workload.unknown': 'Choose one with --workload; `sealed attestation` lists them.',
  'endpoint.unknown': 'This workload offers no chat completions.',
  'envelope.expect_mismatch': 'The machine was reconfigured meanwhile; run the command again.',
  'envelope.key_unknown': 'Run the command again; if it stays, check this machine’s clock.',
  'envelope.expired': 'Check this machine’s clock.',
  'response.truncated':
    'Ask again for an answer; the receipt of this session can be checked with: sealed verify ID --url URL',
}

export function hintFor(error: SealedError): string | undefined {
  if (error instanceof VerdictError) return verdictHint(error)
  if (error instanceof GatewayFailure && error.retryAfterMs !== undefined)
    return `Try again in ${error.retryAfterMs / 1000} s.`
  return HINTS[error.code] ?? (error.remedy === 'retry' ? 'Try again later.' : undefined)
}

function verdictHint({ verdict, evidence }: VerdictError): string | undefined {
  if (evidence) return undefined
  return verdict.policy === 'strict'
    ? 'The strict policy trusts only cloud hardware and named workloads; give --policy dev for your own development instance, or a policy file that you reviewed.'
    : 'If the policy is for another instance, give the right file with --policy; if it is for this one, do not use this gateway.'
}
