// Who gets a place in a replica: first come, first served, with a bounded wait. A replica has as many places as
// sessions may share it; whoever comes gets one where most are free. Under seal policy `permanent` the first tenant that
// gets one has the replica for good: all its places are for that tenant.
import { SealedError, SessionFailure } from '@sealed/protocol'
import { type Steps, UNMEASURED } from '../steps.ts'
import type { Replica } from './replica.ts'

interface Waiter {
  tenant: string | undefined
  resolve(replica: Replica): void
  reject(error: Error): void
}

export class Pool {
  /** Free places of each replica that has any; the one that was given back longest ago first. */
  readonly #free = new Map<Replica, number>()
  readonly #waiting: Waiter[] = []
  /** Whose a replica is, once it is anybody's. */
  readonly #tenants = new WeakMap<Replica, string>()
  #closed: Error | undefined
  readonly #places: number
  readonly #steps: Steps

  constructor(places = 1, steps: Steps = UNMEASURED) {
    this.#places = places
    this.#steps = steps
  }

  /** Sessions that wait here. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Sessions that would not have to wait. */
  get free(): number {
    return [...this.#free.values()].reduce((sum, places) => sum + places, 0)
  }

  /** As `free`, for a session of this tenant: places in another's replica are none. */
  freeFor(tenant: string | undefined): number {
    let sum = 0
    for (const [replica, places] of this.#free) if (this.#mayHave(tenant, replica)) sum += places
    return sum
  }

  /** Replicas that no session is in. */
  get idle(): number {
    return [...this.#free.values()].filter((places) => places === this.#places).length
  }

  /** A place in a replica. Rejects with `queue.timeout` after `ms`, or with the signal's reason. */
  acquire(ms: number, signal: AbortSignal, tenant?: string): Promise<Replica> {
    return this.#steps.time('wait', () => this.#acquire(ms, signal, tenant))
  }

  #acquire(ms: number, signal: AbortSignal, tenant: string | undefined): Promise<Replica> {
    if (this.#closed) return Promise.reject(this.#closed)
    signal.throwIfAborted()
    const free = this.#next(tenant)
    if (free) return Promise.resolve(free)
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        tenant,
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

  #next(tenant: string | undefined): Replica | undefined {
    let best: Replica | undefined
    for (const [replica, places] of this.#free) {
      if (!this.#mayHave(tenant, replica)) continue
      const isOwn = this.#tenants.has(replica)
      if (!best || isOwn || places > this.#free.get(best)!) best = replica
      if (isOwn) break
    }
    if (!best) return undefined
    this.#put(best, this.#free.get(best)! - 1)
    return this.#given(best, tenant)
  }

  #mayHave(tenant: string | undefined, replica: Replica): boolean {
    const whose = this.#tenants.get(replica)
    return whose === undefined || whose === tenant
  }

  #given(replica: Replica, tenant: string | undefined): Replica {
    if (tenant !== undefined) this.#tenants.set(replica, tenant)
    return replica
  }

  #put(replica: Replica, places: number): void {
    this.#free.delete(replica)
    if (places > 0) this.#free.set(replica, places)
  }

  /** Takes a replica that nobody is in out of the pool; false when somebody is, or when it is not here. */
  take(replica: Replica): boolean {
    return this.#free.get(replica) === this.#places && this.#free.delete(replica)
  }

  /** From now on nobody gets a place in this replica. */
  withdraw(replica: Replica): void {
    this.#free.delete(replica)
  }

  /** Gives a replica that nobody is in, new or emptied, to those who wait longest. */
  offer(replica: Replica): void {
    for (let i = 0; i < this.#places; i++) this.giveBack(replica)
  }

  /** Gives one place to whoever waits longest and may have it. */
  giveBack(replica: Replica): void {
    const next = this.#waiting.find(({ tenant }) => this.#mayHave(tenant, replica))
    if (next) next.resolve(this.#given(replica, next.tenant))
    else this.#put(replica, (this.#free.get(replica) ?? 0) + 1)
  }

  close(): void {
    this.#closed = new SealedError('replica.unavailable', 'the embassy is stopping')
    for (const waiter of [...this.#waiting]) waiter.reject(this.#closed)
  }
}
