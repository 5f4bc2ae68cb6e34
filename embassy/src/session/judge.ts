// Judges a commit before anything is written: activations collected, the firewall read back, and then what the log will
// say. A commit that is not accepted is refused with the reason that the log gives for it.
import {
  type AbortReason,
  type Code,
  type Commit,
  fromHex,
  type Limits,
  modelDigest,
  rootHashes,
  SealedError,
} from '@sealed/protocol'
import { contentDigest } from '../digests.ts'
import { ATTRIBUTION } from '../registry/attribution.ts'
import type { Fleet } from '../replicas/fleet.ts'
import type { Reading, Replica } from '../replicas/replica.ts'
import { type Steps, UNMEASURED } from '../steps.ts'
import { type Draft, extend, monoUs } from '../store/stamp.ts'
import type { Closing } from '../store/step.ts'
import { type Observed, observe } from './observe.ts'
import type { Session } from './session.ts'

/** A commit that the embassy does not accept. */
class Refused extends SealedError {
  readonly reason: AbortReason

  constructor(reason: AbortReason, code: Code, message: string) {
    super(code, message)
    this.reason = reason
  }
}

/** What the log says of a commit that failed with `error`. */
export function reasonOf(error: unknown): AbortReason {
  if (error instanceof Refused) return error.reason
  const code = error instanceof SealedError ? error.code : undefined
  if (code === 'registry.full') return 'registry.refused'
  return code === 'seal.failed' || code === 'seal.breached' ? code : 'internal.error'
}

/** The closing of a session whose output was committed to; throws when it must be withheld. */
export async function judge(
  session: Session,
  fleet: Fleet,
  commit: Commit,
  deps: { limits: Limits; metering: 'required' | 'optional'; steps?: Steps },
): Promise<Closing> {
  const replica = session.replica!
  const observed = await (deps.steps ?? UNMEASURED).time('activations', () =>
    observeFor(session, fleet, commit.status, deps),
  )
  const checked = fleet.unsealed ? undefined : await readBack(session, fleet)
  if (session.cooperation && !session.cooperation.agrees(commit.output_sha256))
    throw new Refused(
      'workload.failed',
      'workload.failed',
      'the workload did not commit to this output: its answer is withheld',
    )
  const { action, authority } = session
  if (action.type === 'read')
    throw new SealedError('internal.error', 'a reading has no output to commit to')
  return {
    session: session.id,
    statements: extend(session.statements, observed ? [observed.statement] : []),
    end: {
      kind: 'commit',
      action,
      ...(action.type === 'write' && { capability: `${authority}/${action.capability}` }),
      attribution: ATTRIBUTION,
      ...(observed && { observation: observed.observation }),
      outputBytes: commit.output_bytes,
      after: [
        ...(checked ? [{ type: 'seal.checked', ...checked } as const] : []),
        {
          type: 'output.committed',
          output_bytes: commit.output_bytes,
          output_digest: contentDigest(session.salt, fromHex(commit.output_sha256)),
          status: commit.status,
        },
        ...(checked ? [letGo(session, replica)] : []),
        { type: 'response.released', to: 'gateway' },
      ],
    },
    account: session.account,
  }
}

/** The firewall as it is now, whose rules are those that the session was sealed under. */
async function readBack(session: Session, fleet: Fleet): Promise<Reading> {
  const checked = await fleet.check(session.replica!)
  const sealed = session.statements[1]!
  if (!('ruleset_digest' in sealed) || checked.ruleset_digest !== sealed.ruleset_digest)
    throw new Refused(
      'seal.breached',
      'seal.breached',
      'the firewall’s ruleset changed during the session',
    )
  return checked
}

function letGo(session: Session, { epoch }: Replica): Draft {
  const sealed = { sealed_us: String(monoUs() - session.sealedAt) }
  return epoch
    ? { type: 'seal.kept', ...sealed, ...epoch.companyOf(session.id), epoch: epoch.id }
    : { type: 'seal.released', ...sealed }
}

type Seen = Extract<Observed, { kind: 'seen' }>

async function observeFor(
  session: Session,
  fleet: Fleet,
  status: number,
  { limits, metering }: { limits: Limits; metering: 'required' | 'optional' },
): Promise<Seen | undefined> {
  const { config } = fleet.workload
  if (config.activations === 'safetensors') {
    const { activations, epoch } = session.replica!
    const from = epoch
      ? { directory: activations, session: session.id }
      : { directory: activations }
    const model = await modelDigest(config.image, rootHashes(config))
    const observed = await observe(from, limits.activations_ms, model, session.salt)
    if (observed.kind === 'invalid')
      throw new Refused(observed.reason, 'activations.invalid', observed.message)
    if (observed.kind === 'seen') return observed
  }
  if (metering === 'optional') return undefined
  const withheld = `the workload answered ${status} and no activations: its answer is withheld`
  if (status >= 500) throw new Refused('workload.failed', 'workload.failed', withheld)
  if (status >= 400)
    throw new Refused(
      'workload.refused',
      'workload.failed',
      `${withheld}; it may not take this model or these parameters`,
    )
  throw new Refused(
    'activations.missing',
    'activations.missing',
    'the workload handed over no activations: its answer is withheld',
  )
}

/** Whether a file of this session may still come, and would then be taken for that of the next one. */
export const isOwed = ({ end }: Closing, { workload }: Fleet, status: number): boolean =>
  workload.config.activations === 'safetensors' &&
  end.kind === 'commit' &&
  !end.observation &&
  workload.config.epoch === undefined &&
  // A request that was refused was not computed.
  !(status >= 400 && status < 500)
