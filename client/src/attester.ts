// One attestation for many requests: made once for all who wait, kept until shortly before it ends, made anew then.
// One that failed is never kept, so that nobody is sent to a machine that was not judged good just before.
import type { Attested } from './attest.ts'

export interface AttesterOptions {
  /** Fetches and judges; rejects when the machine must not be asked. */
  attest: (signal: AbortSignal) => Promise<Attested>
  now?: () => number
  /** Longest time for which one attestation serves, in milliseconds. Default one hour. */
  maxAgeMs?: number
  /** Longest time that one may take, in milliseconds. Default 30,000. */
  timeoutMs?: number
}

/** A key is left this long before it ends: the envelope still has to arrive. */
const MARGIN_MS = 60_000
/** Whoever asks for what is not there again and again has the machine attested no more often. */
const DOUBTED_AFTER_MS = 30_000

export class Attester {
  readonly #options: AttesterOptions
  #pending: Promise<Attested> | undefined
  #kept: { attested: Attested; made: number; until: number } | undefined

  constructor(options: AttesterOptions) {
    this.#options = options
  }

  /** What is known, or what is found now. Rejects as `attest` does, and with the signal's reason. */
  async get(signal?: AbortSignal): Promise<Attested> {
    signal?.throwIfAborted()
    if (this.#kept && this.#now() < this.#kept.until) return this.#kept.attested
    this.#pending ??= this.#attest().finally(() => {
      this.#pending = undefined
    })
    return unlessAborted(this.#pending, signal)
  }

  /** The machine is no longer what this says: the next request attests again. */
  forget(attested: Attested): void {
    if (this.#kept?.attested === attested) this.#kept = undefined
  }

  /** The machine may no longer be what this says: the next request attests again, unless it was attested just now. */
  doubt(attested: Attested): void {
    if (this.#kept && this.#now() - this.#kept.made >= DOUBTED_AFTER_MS) this.forget(attested)
  }

  async #attest(): Promise<Attested> {
    const { attest, maxAgeMs = 3_600_000, timeoutMs = 30_000 } = this.#options
    const started = this.#now()
    const attested = await attest(AbortSignal.timeout(timeoutMs))
    const keyEnds = attested.transportKey.not_after_ms - MARGIN_MS
    this.#kept = { attested, made: started, until: Math.min(started + maxAgeMs, keyEnds) }
    return attested
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now()
  }
}

/** One caller's wait on what others wait for too. */
function unlessAborted<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return shared
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
