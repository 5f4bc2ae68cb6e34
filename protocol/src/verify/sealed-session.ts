// Whether a session ran sealed, in the workload that was measured and under a seal that the policy accepts. What states
// that there was no seal, or no TPM, is accepted under no policy: there is nothing that a policy could name for it.
import type { AttestationDocument } from '../attestation.ts'
import type { Policy } from '../policy.ts'
import type { Statement, StatementType } from '../statement.ts'
import { notSealed } from '../unsealed.ts'
import { modelDigest } from '../weights.ts'
import { ensure, Refusal } from './checks.ts'

/** Throws `Refusal` unless these statements are of such a session. */
export async function acceptSession(
  statements: readonly Statement[],
  { configuration }: AttestationDocument,
  policy: Policy,
): Promise<string> {
  const find = <T extends StatementType>(type: T) =>
    statements.find((statement) => statement.type === type) as
      | Extract<Statement, { type: T }>
      | undefined
  const absent = find('seal.absent')
  if (absent) throw new Refusal(`seal.absent: ${notSealed(absent.reason)}`)
  ensure(!find('tpm.absent'), 'tpm.absent: no TPM counted this session and none quotes it')
  if (configuration.unsealed !== undefined) throw new Refusal(notSealed(configuration.unsealed))
  const received = find('request.received')!
  const workload = configuration.workloads.find(({ name }) => name === received.workload)
  ensure(
    workload?.digest === received.workload_digest,
    'the session ran a workload that was not measured',
  )
  const enforced = find('seal.enforced') ?? find('seal.joined')
  if (!enforced) return 'no replica took part'
  ensure(enforced.image === workload.image, 'the replica ran another image than measured')
  ensure(
    enforced.policy === workload.seal_policy,
    'the replica was sealed under another policy than measured',
  )
  ensure(
    policy.seal_policies.includes(enforced.policy),
    `seal policy ${enforced.policy} is not accepted`,
  )
  ensure(enforced.probes.reached === 0, 'a probe got through the seal')
  const model = await modelDigest(workload.image, workload.weights)
  for (const statement of statements)
    ensure(
      statement.type !== 'activations.observed' || statement.model === model,
      'activations were taken for those of another model than measured',
    )
  const checked = find('seal.checked')
  ensure(
    !checked || checked.ruleset_digest === enforced.ruleset_digest,
    'the ruleset changed during the session',
  )
  return `${received.workload}, policy ${enforced.policy}, ${enforced.probes.blocked} probes refused`
}
