// How many requests of one API key are taken in a minute: a bucket of so many, which fills again evenly. What is over is
// refused at once and costs nothing; every answer says what is left, in the headers that OpenAI's SDKs know.
import { SessionFailure } from '@sealed/protocol'
import { createMiddleware } from 'hono/factory'
import type { AppEnv } from '../deps.ts'

const MINUTE_MS = 60_000

export interface Taken {
  /** Requests that may still follow at once. */
  remaining: number
  /** Until as many as ever may follow at once. */
  resetMs: number
  /** Where the request is over the limit: until one may follow. */
  retryAfterMs?: number
}

export class Rates {
  readonly #clock: () => number
  /** One for each key that has called: names come from the deployment, never from a request. */
  readonly #buckets = new Map<string, { left: number; at: number }>()

  /** `clock` gives milliseconds; where it falls back nothing is filled. */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Counts one request of `name`, unless it is over `perMinute`. */
  take(name: string, perMinute: number): Taken {
    const now = this.#clock()
    const bucket = this.#buckets.get(name) ?? { left: perMinute, at: now }
    const filled = (Math.max(0, now - bucket.at) * perMinute) / MINUTE_MS
    const left = Math.min(perMinute, bucket.left + filled)
    const isOver = left < 1
    const after = isOver ? left : left - 1
    this.#buckets.set(name, { left: after, at: now })
    const msFor = (requests: number) => Math.ceil((requests * MINUTE_MS) / perMinute)
    return {
      remaining: Math.floor(after),
      resetMs: msFor(perMinute - after),
      ...(isOver && { retryAfterMs: Math.max(1, msFor(1 - left)) }),
    }
  }
}

/** After `apiKey`: throws `limit.rate` (429). Where no key is asked for nothing is counted. */
export const rate = (rates: Rates, perMinute: number) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const key = c.get('apiKey')
    if (key) {
      const limit = key.requestsPerMinute ?? perMinute
      const { remaining, resetMs, retryAfterMs } = rates.take(key.name, limit)
      c.header('x-ratelimit-limit-requests', String(limit))
      c.header('x-ratelimit-remaining-requests', String(remaining))
      c.header('x-ratelimit-reset-requests', duration(resetMs))
      if (retryAfterMs !== undefined)
        throw new SessionFailure(
          'limit.rate',
          `this API key has ${limit} requests a minute and they are used up; wait for the time in Retry-After`,
          { retryAfterMs },
        )
    }
    await next()
  })

/** As OpenAI writes it: `250ms`, `8.64s`, `1m30s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${ms}ms`
  if (ms < MINUTE_MS) return `${ms / 1_000}s`
  const seconds = Math.ceil(ms / 1_000)
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
