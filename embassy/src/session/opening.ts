// The statements with which a session opens, once its replica is sealed: what was asked, the firewall as read back,
// and that the key is about to be revealed.
import type { Statement } from '@sealed/protocol'
import type { Reading } from '../replicas/fleet.ts'
import type { Replica } from '../replicas/replica.ts'
import { extend } from '../store/stamp.ts'
import type { MeasuredWorkload } from './admission.ts'
import type { Session } from './session.ts'

export function opening(
  session: Session,
  replica: Replica,
  { config }: MeasuredWorkload,
  reading: Reading,
): Statement[] {
  const { atMs, blocked, reached } = replica.probes
  const received = extend([], [session.received])
  return extend(received, [
    {
      type: 'seal.enforced',
      ...reading,
      egress_open_ms: replica.egressOpenMs,
      generation: replica.generation,
      image: config.image,
      policy: config.seal_policy,
      probes: { age_ms: Math.max(0, Date.now() - atMs), blocked, reached },
      replica: replica.index,
      sessions_before: replica.sessionsBefore,
      sessions_overlapping: 0,
      tenants: 1,
    },
    { type: 'input_key.revealed', to: 'relay' },
  ])
}
