// One sealed epoch of a replica: the sessions that share its seal, who was there with whom, and when it ends. Nobody
// joins an epoch that is over its time or in doubt; its seal is let go when the last session has left.
import { type AbortReason, randomBytes, type Statement, toHex } from '@sealed/protocol'
import { extend, monoUs } from '../store/stamp.ts'
import type { Reading } from './replica.ts'

/** Who shares a replica with a session: sessions beside it, and the callers of all, its own included. */
export interface Company {
  sessions_overlapping: number
  tenants: number
}
interface Member {
  beside: number
  callers: Set<string>
  caller: string
}

export interface EpochOptions {
  /** Closes the replica. */
  seal: () => Promise<Reading>
  /** What `epoch.begun` says of it. */
  of: { generation: number; image: string; policy: string; replica: number }
  maxMs: number
  /** How long it waits for another session when it has none. */
  idleMs: number
  /** Called once, as soon as nobody is to join any more. */
  onDrain: () => void
}

/** More than a replica has at work at once, many times over. */
const MAX_ENDED = 4_096

export class Epoch {
  readonly id = toHex(randomBytes(16))
  /** Settles when the replica is sealed for this epoch. */
  readonly sealed: Promise<Reading>
  /** `epoch.begun`, stamped when it had; there once it was sealed. */
  begun: Statement[] = []
  /** Whether the ledger knows that it has begun. */
  isOnDisk = false
  /** Why the replica is not to be used again, where that is so. */
  doubt: AbortReason | undefined
  readonly #members = new Map<string, Member>()
  readonly #ended = new Set<string>()
  readonly #idleMs: number
  readonly #onDrain: () => void
  readonly #over: NodeJS.Timeout
  #idle: NodeJS.Timeout | undefined
  #last: { reading: Reading; readUs: bigint } | undefined
  #draining = false

  constructor({ seal, of, maxMs, idleMs, onDrain }: EpochOptions) {
    this.#idleMs = idleMs
    this.#onDrain = onDrain
    this.#over = setTimeout(() => this.drain(), maxMs)
    const askedUs = monoUs()
    this.sealed = seal().then((reading) => {
      this.begun = extend([], [{ type: 'epoch.begun', ...of, ...reading }])
      return this.wasRead(reading, askedUs)
    })
  }

  get isDraining(): boolean {
    return this.#draining
  }

  get size(): number {
    return this.#members.size
  }

  /** The seal as it was read last, and when that was asked for, in microseconds of the monotonic clock; there once sealed. */
  get last(): { reading: Reading; readUs: bigint } {
    return this.#last!
  }

  wasRead(reading: Reading, readUs: bigint): Reading {
    this.#last = { reading, readUs }
    return reading
  }

  /** A session comes in; those that are there have it beside them from now on. */
  join(session: string, caller: string): void {
    clearTimeout(this.#idle)
    const callers = new Set([caller])
    for (const other of this.#members.values()) {
      other.beside += 1
      other.callers.add(caller)
      callers.add(other.caller)
    }
    this.#members.set(session, { beside: this.#members.size, callers, caller })
  }

  /** Who was beside this session until now. */
  companyOf(session: string): Company {
    const { beside, callers } = this.#members.get(session)!
    return { sessions_overlapping: beside, tenants: callers.size }
  }

  leave(session: string): void {
    this.#members.delete(session)
    this.#ended.add(session)
    if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.values().next().value!)
    if (this.size === 0 && !this.#draining)
      this.#idle = setTimeout(() => this.drain(), this.#idleMs)
  }

  /** The latest of those that have left. The workload may not know that, and what it hands over for them is nobody's. */
  get ended(): ReadonlySet<string> {
    return this.#ended
  }

  drain(): void {
    if (this.#draining) return
    this.stop()
    this.#onDrain()
  }

  /** As `drain`, for an owner that knows. */
  stop(): void {
    this.#draining = true
    clearTimeout(this.#over)
    clearTimeout(this.#idle)
  }
}
