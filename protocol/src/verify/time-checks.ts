// When a leaf was made: what the VM claims, and the bounds that others than the VM put on it.
import type { Statement } from '../statement.ts'
import { ensure } from './checks.ts'

/** Clocks may differ by as much as an envelope's may from the embassy's. */
const CLOCK_MS = 300_000
const FUTURE_MS = 60_000

export interface Times {
  /** By the VM's clock. */
  checkpointMs: number
  statements: readonly Statement[]
  /** Oldest checkpoint that the policy accepts. */
  maxAgeMs: number | undefined
  now: number
  /** The verifier's own: when it sent the nonce that the receipt echoes. */
  fromMs: number | undefined
  /** By when witnesses had seen the leaf. */
  untilMs: number | undefined
}

/** Holds the VM's claims against age and bounds. Says what was found, and whether both ends are bound. */
export function checkTimes(times: Times): { isBounded: boolean; reason: string } {
  const { checkpointMs, fromMs, maxAgeMs, now, statements, untilMs } = times
  ensure(
    statements.every(({ utc_ms }) => utc_ms <= checkpointMs),
    'a statement is later than its checkpoint',
  )
  if (maxAgeMs !== undefined) {
    ensure(checkpointMs <= now + FUTURE_MS, 'the checkpoint is from the future')
    ensure(now - checkpointMs <= maxAgeMs, `the checkpoint is older than ${maxAgeMs} ms`)
  }
  // The grammar lets no statement claim an earlier time than one above it: these two are the bounds of all.
  const [first, last] = [statements[0]!.utc_ms, statements.at(-1)!.utc_ms]
  ensure(
    fromMs === undefined || first >= fromMs - CLOCK_MS,
    'the time claimed is before the request was sent',
  )
  ensure(
    untilMs === undefined || last <= untilMs + CLOCK_MS,
    'the time claimed is after witnesses saw the leaf',
  )
  const isBounded = fromMs !== undefined && untilMs !== undefined
  if (isBounded) ensure(fromMs <= untilMs, 'witnesses saw the leaf before the request was sent')
  const by = isBounded ? `bounded: ${iso(fromMs)} to ${iso(untilMs)}` : 'claimed'
  const age = maxAgeMs === undefined ? '' : `, within ${maxAgeMs} ms`
  return { isBounded, reason: `${iso(checkpointMs)} (${by})${age}` }
}

export const iso = (ms: number): string => new Date(ms).toISOString()
