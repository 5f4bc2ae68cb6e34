// What the relay is told once a replica is sealed and the opening is durable: where the workload is, and the key, or, where
// the workload takes part itself, where that is to ask for it.
import { type Limits, type Revealed, toBase64url } from '@sealed/protocol'
import { encryptionHalf, type MeasuredWorkload } from './admission.ts'
import type { Session } from './session.ts'

export function revealedTo(
  session: Session,
  { config }: MeasuredWorkload,
  limits: Limits,
): Revealed {
  const { cooperation, door, endpoint, replica } = session
  const { embassyPort, hostAddress4, relayPorts, workloadAddress4, workloadPort } = replica!.link
  return {
    address: workloadAddress4,
    ...(cooperation
      ? {
          cooperative: {
            ...(door.kind === 'plain' && { input_key: toBase64url(cooperation.inputKey) }),
            url: `http://${hostAddress4}:${embassyPort}/v1/sessions/${session.id}`,
          },
        }
      : door.kind === 'envelope' && { encryption_key: toBase64url(encryptionHalf(door.inputKey)) }),
    endpoint,
    kind: 'replica',
    output_bytes: limits.output_bytes,
    port: workloadPort,
    relay_ports: [relayPorts[0], relayPorts[1]],
    sessions: config.epoch?.sessions ?? 1,
    workload_ms: limits.workload_ms,
  }
}
