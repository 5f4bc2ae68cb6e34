// Bounds how many requests are under way: of one caller and in all. A slot is held until the answer has left or the
// client has gone; nobody waits here, the embassy has the queue.
import { SessionFailure } from '@sealed/protocol'
import { createMiddleware } from 'hono/factory'
import type { AppEnv, GatewayLimits } from '../deps.ts'

const RETRY_AFTER_MS = 1_000

export class Slots {
  readonly #limits: Pick<GatewayLimits, 'callerRequests' | 'totalRequests'>
  readonly #callers = new Map<string, number>()
  #total = 0

  constructor(limits: Pick<GatewayLimits, 'callerRequests' | 'totalRequests'>) {
    this.#limits = limits
  }

  get used(): number {
    return this.#total
  }

  /**
   * Takes a slot and returns what gives it back (once; later calls do nothing). `own` is a lower limit of this caller.
   * Throws `limit.caller` or `queue.full`.
   */
  take(caller: string, own = Number.POSITIVE_INFINITY): () => void {
    const { totalRequests } = this.#limits
    const callerRequests = Math.min(own, this.#limits.callerRequests)
    const mine = this.#callers.get(caller) ?? 0
    if (mine >= callerRequests)
      throw new SessionFailure(
        'limit.caller',
        `${callerRequests} requests of this caller are under way; wait for one to end`,
        { retryAfterMs: RETRY_AFTER_MS },
      )
    if (this.#total >= totalRequests)
      throw new SessionFailure(
        'queue.full',
        `this gateway serves ${totalRequests} requests at once and has no room; try again`,
        { retryAfterMs: RETRY_AFTER_MS },
      )
    this.#total++
    this.#callers.set(caller, mine + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#total--
      const left = (this.#callers.get(caller) ?? 1) - 1
      if (left > 0) this.#callers.set(caller, left)
      else this.#callers.delete(caller)
    }
  }
}

/** Key that the routes share which ask for no API key; no key's name has a colon. */
const OPEN_DOOR = 'open:'

/** Holds a slot of the caller for the time of the request; `holdSlot` keeps it for a streamed answer. */
export const slot = (slots: Slots) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const release = slots.take(c.get('caller') ?? OPEN_DOOR, c.get('apiKey')?.concurrentRequests)
    let kept = false
    c.set('holdSlot', () => {
      kept = true
      return release
    })
    try {
      await next()
    } finally {
      if (!kept || c.error) release()
    }
  })
