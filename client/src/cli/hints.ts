// The next step after an error, in one sentence, for the mistakes that people make.
import type { CheckId, Code, Receipt, SealedError, Verdict } from '@sealed/protocol'
import { GatewayFailure, VerdictError } from '../failure.ts'

const HINTS: Partial<Record<Code, string>> = {
  'gateway.unreachable':
    'Start a gateway with `npm start`, or point --url or SEALED_URL at one that runs.',
  'request.unauthorized':
    'Put a key that the operator admitted into SEALED_API_KEY (`sealed key new NAME` makes one).',
  'request.not_found':
    'Check --url: it must be the root of a sealed gateway, and the one that has it.',
  'receipt.pruned':
    'Look for a copy that was kept: `sealed verify FILE --document FILE` needs no gateway.',
  'evidence.invalid':
    'Check --url, which must be the root of a sealed gateway; or, of a file, that it is the one you mean, and whole.',
  'instructions.unauthorized':
    'Ask the operator to list this authority’s id and public key in sealed.json.',
  'registry.unknown_capability':
    'Define it first: sealed write CAPABILITY PROMPT --authority FILE.',
  'workload.unknown': 'Choose one with --workload; `sealed attestation` lists them.',
  'endpoint.unknown': 'This workload offers no chat completions.',
  'envelope.expect_mismatch': 'The machine was reconfigured meanwhile; run the command again.',
  'envelope.key_unknown': 'Run the command again; if it stays, check this machine’s clock.',
  'envelope.expired': 'Check this machine’s clock.',
  'log.fork':
    'Keep both checkpoints: two that one key signed and that do not follow one another prove it to anyone.',
  'log.damaged': 'Ask the operator: parts of the log are missing or altered on that machine.',
  'response.truncated':
    'Ask again for an answer; the receipt of this session can be checked with: sealed verify ID --url URL',
}

export function hintFor(error: SealedError): string | undefined {
  if (error instanceof VerdictError) return verdictHint(error)
  if (error instanceof GatewayFailure && error.retryAfterMs !== undefined)
    return `Try again in ${error.retryAfterMs / 1000} s.`
  if (error.code === 'evidence.invalid' && error.param === 'document')
    return 'A gateway serves its document at /v1/attestation; keep that answer as it is.'
  return HINTS[error.code] ?? (error.remedy === 'retry' ? 'Try again later.' : undefined)
}

const STRICT =
  'The strict policy trusts only cloud hardware and named workloads; give --policy dev for your own development instance, or a policy file that you reviewed (`sealed policy init` writes one to review).'

/** What to do about a verdict on a receipt: mend what was given, or know what it does not say. */
export function hintsFor(verdict: Verdict, receipt: Receipt | undefined): string[] {
  const result = (id: CheckId) => verdict.checks.find((check) => check.id === id)?.result
  const hints: string[] = []
  if (result('receipt.document') === 'fail' && receipt)
    hints.push(
      `The receipt names the document ${receipt.document}; a gateway serves it at /v1/attestation/${receipt.document}, and --url fetches it.`,
    )
  const trust = (['document.ak_chain', 'document.configuration'] as const).map(result)
  if (verdict.policy === 'strict' && trust.includes('fail')) hints.push(STRICT)
  const missing = verdict.checks.filter((check) => check.required && check.result === 'skip')
  if (verdict.outcome === 'incomplete')
    hints.push(
      `Incomplete: the policy requires what could not be checked (${missing.map(({ id }) => id).join(', ')}).`,
    )
  const given: [CheckId, string][] = [
    ['receipt.request', '--request FILE (what was sent)'],
    ['receipt.output', '--response FILE and --salt (what came back)'],
  ]
  const wanted = given.filter(([id]) => result(id) === 'skip').map(([, flag]) => flag)
  if (verdict.outcome === 'verified' && wanted.length > 0)
    hints.push(
      `This proves that the session happened, not what was said in it: compare that with ${wanted.join(' and ')}.`,
    )
  return hints
}

function verdictHint({ verdict, evidence }: VerdictError): string | undefined {
  if (evidence) return undefined
  return verdict.policy === 'strict'
    ? STRICT
    : 'If the policy is for another instance, give the right file with --policy; if it is for this one, do not use this gateway.'
}
