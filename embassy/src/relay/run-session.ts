// The relay's part in one session after its input is authentic: reveal, ask the workload, commit. The digest that is
// committed is of the bytes read from the workload's socket, here.
import {
  type AbortReason,
  fromRpcError,
  type Revealed,
  SealedError,
  SessionFailure,
  toHex,
  toRpcError,
} from '@sealed/protocol'
import type { EmbassyClient } from './embassy-client.ts'
import type { Taker, WorkloadAnswer } from './workload-answer.ts'
import type { WorkloadClient } from './workload-client.ts'

export type Outcome =
  | { kind: 'answer'; answer: WorkloadAnswer; receipt: string }
  | { kind: 'reading'; reading: string; receipt: string }

export type RevealedReplica = Extract<Revealed, { kind: 'replica' }>

export interface SessionDeps {
  embassy: Pick<EmbassyClient, 'abort' | 'commit' | 'open' | 'reveal'>
  workload: Pick<WorkloadClient, 'call'>
}

/** What the two doors do differently in a session. */
export interface SessionPlan {
  session: string
  /** Seals a replica for it and reveals the key. */
  reveal(): Promise<Revealed>
  /** Makes the plaintext once the key is revealed, or the token for a workload that takes part itself. */
  input(revealed: RevealedReplica): Promise<Uint8Array>
  contentType: string
  stream: boolean
  /** Takes the answer as it comes. */
  taker?: Taker
  signal: AbortSignal
}

/**
 * Runs the session to its receipt. Throws `SessionFailure`, with the session's id where anything may have been revealed,
 * and with its receipt where that is there already.
 */
export async function runSession(deps: SessionDeps, plan: SessionPlan): Promise<Outcome> {
  const { embassy, workload } = deps
  const { session, signal, stream, contentType } = plan
  let leave = () =>
    void embassy.abort(session, { output_bytes: 0, reason: 'client.gone' }).catch(() => {})
  const onAbort = () => leave()
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) leave()
    const revealed = await plan.reveal().catch((error: unknown) => {
      throw mayHaveRevealed(error) ? begun(session, error) : error
    })
    leave = () => {}
    if (revealed.kind === 'reading') return revealed
    let taken = 0
    const taker: Taker = (head) => {
      const take = plan.taker?.(head)
      return (
        take &&
        ((bytes) => {
          taken += bytes.length
          take(bytes)
        })
      )
    }
    let answer: WorkloadAnswer
    try {
      const body = await plan.input(revealed)
      answer = await workload.call(revealed, { body, contentType, session, stream }, signal, taker)
    } catch (error) {
      const failure = abort(embassy, session, taken, error, signal).catch((lost: unknown) => lost)
      throw begun(session, await failure)
    }
    const commit = {
      output_bytes: answer.bytes,
      output_sha256: toHex(answer.sha256),
      status: answer.status,
    }
    const receipt = await embassy.commit(session, commit).catch((error: unknown) => {
      throw begun(session, error)
    })
    return { kind: 'answer', answer, receipt }
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** An embassy that went away in the middle may have revealed first. */
const mayHaveRevealed = (error: unknown): boolean =>
  error instanceof SealedError && error.code === 'session.aborted'

/** The failure of a session that has a receipt, or will have one: under its id. */
function begun(session: string, error: unknown): SessionFailure {
  const { code, message, param, receipt } = fromRpcError(toRpcError(error))
  return new SessionFailure(code, message, {
    cause: error,
    ...(param !== undefined && { param }),
    ...(receipt !== undefined && { receipt }),
    session,
  })
}

async function abort(
  embassy: SessionDeps['embassy'],
  session: string,
  outputBytes: number,
  error: unknown,
  signal: AbortSignal,
): Promise<SessionFailure> {
  const code = signal.aborted
    ? 'session.aborted'
    : error instanceof SealedError
      ? error.code
      : 'internal.error'
  const reason: AbortReason = signal.aborted
    ? 'client.gone'
    : code === 'workload.timeout'
      ? 'deadline'
      : code === 'workload.too_large' || code === 'workload.failed'
        ? code
        : 'internal.error'
  const receipt = await embassy.abort(session, { output_bytes: outputBytes, reason })
  const message = error instanceof Error ? error.message : 'the session was aborted'
  return new SessionFailure(code, message, {
    cause: error,
    ...(receipt !== undefined && { receipt }),
  })
}
