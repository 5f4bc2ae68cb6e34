// The statements with which a session opens, once its replica is sealed: what was asked, the firewall as read back,
// and that the key is about to be revealed. Where nothing is sealed they say that.
import type { Statement, UnsealedReason } from '@sealed/protocol'
import type { Entered, Replica } from '../replicas/replica.ts'
import { type Draft, extend } from '../store/stamp.ts'
import type { MeasuredWorkload } from './admission.ts'
import type { Session } from './session.ts'

export function opening(
  session: Session,
  replica: Replica,
  workload: MeasuredWorkload,
  entered: Entered,
  unsealed: UnsealedReason | undefined,
): Statement[] {
  const received = extend([], [session.received])
  return extend(received, [
    ...sealing(replica, workload, entered, unsealed),
    {
      type: 'input_key.revealed',
      to: workload.config.protocol === 'cooperative' ? 'workload' : 'relay',
    },
  ])
}

/** No replica takes part in a reading, and so no seal; a TPM counts it, or there is none. */
export const openingOfReading = (session: Session, unsealed: UnsealedReason | undefined) =>
  extend([], [session.received, ...(unsealed ? [{ type: 'tpm.absent' } as const] : [])])

function sealing(
  replica: Replica,
  { config }: MeasuredWorkload,
  { company, epoch, reading }: Entered,
  unsealed: UnsealedReason | undefined,
): Draft[] {
  if (unsealed) return [{ type: 'seal.absent', reason: unsealed }, { type: 'tpm.absent' }]
  const { atMs, blocked, reached } = replica.probes
  const found = {
    ...reading,
    ...company,
    ...(epoch && { epoch: epoch.id }),
    generation: replica.generation,
    image: config.image,
    policy: config.seal_policy,
    probes: { age_ms: Math.max(0, Date.now() - atMs), blocked, reached },
    replica: replica.index,
    sessions_before: replica.sessionsBefore,
  }
  return [
    epoch?.readUs === undefined
      ? { type: 'seal.enforced', ...found, egress_open_ms: replica.egressOpenMs }
      : { type: 'seal.joined', ...found, read_mono_us: String(epoch.readUs) },
  ]
}
