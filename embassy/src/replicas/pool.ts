// Who gets a replica: one session at a time each, first come, first served, with a bounded wait.
import { SealedError, SessionFailure } from '@sealed/protocol'
import { type Steps, UNMEASURED } from '../steps.ts'
import type { Replica } from './replica.ts'

interface Waiter {
  resolve(replica: Replica): void
  reject(error: Error): void
}

export class Pool {
  readonly #idle: Replica[] = []
  readonly #waiting: Waiter[] = []
  #closed: Error | undefined
  readonly #steps: Steps

  constructor(steps: Steps = UNMEASURED) {
    this.#steps = steps
  }

  /** Sessions that wait here. */
  get waiting(): number {
    return this.#waiting.length
  }

  get idle(): number {
    return this.#idle.length
  }

  /** The next free replica. Rejects with `queue.timeout` after `ms`, or with the signal's reason. */
  acquire(ms: number, signal: AbortSignal): Promise<Replica> {
    return this.#steps.time('wait', () => this.#acquire(ms, signal))
  }

  #acquire(ms: number, signal: AbortSignal): Promise<Replica> {
    if (this.#closed) return Promise.reject(this.#closed)
    signal.throwIfAborted()
    const free = this.#idle.shift()
    if (free) return Promise.resolve(free)
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (replica) => settle(() => resolve(replica)),
        reject: (error) => settle(() => reject(error)),
      }
      const timer = setTimeout(() => {
        waiter.reject(
          new SessionFailure(
            'queue.timeout',
            `no replica was free within ${ms} ms: try again later`,
            { retryAfterMs: ms },
          ),
        )
      }, ms)
      const onAbort = () => waiter.reject(signal.reason as Error)
      signal.addEventListener('abort', onAbort)
      const settle = (act: () => void) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        const at = this.#waiting.indexOf(waiter)
        if (at >= 0) this.#waiting.splice(at, 1)
        act()
      }
      this.#waiting.push(waiter)
    })
  }

  /** Takes a replica that is idle now out of the pool; undefined when it is busy. */
  take(replica: Replica): Replica | undefined {
    const at = this.#idle.indexOf(replica)
    return at < 0 ? undefined : this.#idle.splice(at, 1)[0]
  }

  /** Gives a replica, new or used, to whoever waits longest. */
  offer(replica: Replica): void {
    const next = this.#waiting[0]
    if (next) next.resolve(replica)
    else this.#idle.push(replica)
  }

  close(): void {
    this.#closed = new SealedError('replica.unavailable', 'the embassy is stopping')
    for (const waiter of [...this.#waiting]) waiter.reject(this.#closed)
  }
}
