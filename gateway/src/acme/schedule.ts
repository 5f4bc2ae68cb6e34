// When to ask for the next certificate: numbers in, numbers out. Times are milliseconds since 1970.
import type { Certificate } from './certificate.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** So that five attempts in a row take an hour: what public servers let fail in one. */
const FIRST_PAUSE = 2 * MINUTE
const LAST_PAUSE = 6 * HOUR
/** Nobody is waited for longer than this, whatever a server says: their limits are over weeks at the most. */
export const LONGEST_WAIT = 7 * 24 * HOUR
/** Between a certificate and the next, however short its life is. */
const LEAST_LIFE = MINUTE

/** At two thirds of its life, or up to a twentieth of it earlier: machines of one fleet do not all ask at once. */
export function renewAt(
  { notBefore, notAfter }: Pick<Certificate, 'notBefore' | 'notAfter'>,
  now: number,
  random: number,
): number {
  const due = notBefore + (notAfter - notBefore) * (2 / 3 - random / 20)
  return Math.max(due, now + LEAST_LIFE)
}

/** After this many failures in a row, and no earlier than the server asked for. */
export function retryAt(
  failures: number,
  retryAfterMs: number | undefined,
  now: number,
  random: number,
): number {
  const pause = Math.min(FIRST_PAUSE * 2 ** Math.min(failures - 1, 20), LAST_PAUSE)
  const asked = Math.min(retryAfterMs ?? 0, LONGEST_WAIT)
  return now + Math.max(pause, asked) + (random * pause) / 4
}
