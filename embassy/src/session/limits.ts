// How many sessions may be open: of one caller, and waiting for one workload. Whoever is over a limit is told at once.
import { SessionFailure } from '@sealed/protocol'
import type { Session } from './session.ts'

const RETRY_AFTER_MS = 1_000

/** Throws `limit.caller`. */
export function ensureCallerBelow(limit: number, caller: string, open: Iterable<Session>): void {
  const mine = [...open].filter((session) => session.caller === caller).length
  if (mine >= limit)
    throw new SessionFailure(
      'limit.caller',
      `${mine} sessions of this caller are open: wait for one to end`,
      { retryAfterMs: RETRY_AFTER_MS },
    )
}

/** Throws `queue.full`; a reading waits for no replica. */
export function ensureQueueBelow(limit: number, session: Session, open: Iterable<Session>): void {
  if (session.action.type === 'read') return
  const waiting = [...open].filter(
    ({ action, replica, workload }) =>
      workload === session.workload && replica === undefined && action.type !== 'read',
  ).length
  if (waiting >= limit)
    throw new SessionFailure(
      'queue.full',
      `${waiting} sessions wait for workload ${session.workload}: try again later`,
      { retryAfterMs: RETRY_AFTER_MS },
    )
}
