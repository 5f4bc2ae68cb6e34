// What an embassy says of itself: to the gateway at each moment (`Status`), and to people (`Overview`).
import {
  type AttestationDocument,
  type Deployment,
  type Overview,
  parseCheckpointBody,
  parseNote,
  type Status,
} from '@sealed/protocol'
import type { LoadedWorkload } from './configuration.ts'
import type { WorkloadState } from './metrics.ts'
import type { Fleet } from './replicas/fleet.ts'

type Fleets = ReadonlyMap<string, Fleet>

export const statesOf = (workloads: readonly LoadedWorkload[], fleets: Fleets): WorkloadState[] =>
  workloads.map(({ config: { name }, replicas }) => {
    const fleet = fleets.get(name)
    return {
      name,
      replicas,
      ready: fleet?.ready ?? 0,
      idle: fleet?.pool.idle ?? 0,
      waiting: fleet?.pool.waiting ?? 0,
    }
  })

/** `of` are faults of the machine as a whole. */
export function statusOf(
  workloads: readonly LoadedWorkload[],
  fleets: Fleets,
  of: readonly string[],
): Status {
  const rows = workloads.map(({ config }) => ({
    endpoints: config.endpoints,
    models: config.models,
    name: config.name,
    replicas_ready: fleets.get(config.name)?.ready ?? 0,
  }))
  const down = rows.filter(({ replicas_ready }) => replicas_ready === 0).map(({ name }) => name)
  const faults = [...of, ...(down.length === 0 ? [] : [`no replica of ${down.join(', ')}`])]
  return {
    ready: faults.length === 0,
    reason: faults.join('; '),
    workloads: rows,
  }
}

export function overviewOf(given: {
  status: Status
  workloads: readonly LoadedWorkload[]
  states: readonly WorkloadState[]
  metering: Deployment['metering']
  attested: { document: AttestationDocument; digest: string }
  /** The newest checkpoint's note, where there is one. */
  note: string | undefined
}): Overview {
  const { attested, metering, note, states, status, workloads } = given
  const { digest, document } = attested
  return {
    attestation: {
      document: digest,
      evidence: [
        ...(document.quote ? ['tpm'] : []),
        ...(document.event_log === undefined ? [] : ['event-log']),
        ...(document.tee_report ? [document.tee_report.kind] : []),
      ],
    },
    ...(note !== undefined && { checkpoint: checkpointOf(note) }),
    metering,
    ready: status.ready,
    reason: status.reason,
    workloads: status.workloads.map((row, i) => ({
      ...row,
      replicas: states[i]!.replicas,
      replicas_idle: states[i]!.idle,
      seal_policy: workloads[i]!.config.seal_policy,
      waiting: states[i]!.waiting,
    })),
  }
}

function checkpointOf(note: string): NonNullable<Overview['checkpoint']> {
  const { origin, size, utcMs } = parseCheckpointBody(parseNote(note).body)
  return { origin, size, utc_ms: utcMs }
}
