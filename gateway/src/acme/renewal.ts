// Keeps the gateway's public certificate: gets the first one, the next in time, and tries again with growing pauses when
// that fails. It decides when; how an order goes and where a certificate is used is for others.
import { setTimeout as delay } from 'node:timers/promises'
import type { Certificate } from './certificate.ts'
import { AcmeFailure } from './failure.ts'
import { LONGEST_WAIT, renewAt, retryAt } from './schedule.ts'

/** What is kept of failures, so that a restart is no way around a pause. */
export interface Pending {
  failures: number
  due_ms: number
}

export interface RenewalDeps {
  obtain(): Promise<Certificate>
  /** Serves it from now on and keeps it. */
  install(certificate: Certificate): Promise<void>
  /** Keeps what is pending; undefined when nothing is. */
  keep(pending: Pending | undefined): Promise<void>
  issued(certificate: Certificate, dueMs: number): void
  failed(error: unknown, dueMs: number): void
  /** The certificate that is served has expired; told once. */
  expired(certificate: Certificate): void
  clock?: () => number
  /** 0 to 1. */
  random?: () => number
  wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** A clock that was set, or a machine that slept, is noticed by then. */
const LOOK_MS = 3_600_000

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal, ref: false }).catch((error: Error) => {
    if (error.name !== 'AbortError') throw error
  })

export class Renewal {
  readonly #deps: Required<RenewalDeps>
  #current: Certificate | undefined
  #failures: number
  #due: number
  #toldOf: Certificate | undefined
  #stopped = false
  #wake = new AbortController()
  #running: Promise<void> | undefined

  /** `current` is what an earlier process of this boot got, `pending` what it failed at. */
  constructor(deps: RenewalDeps, current?: Certificate, pending?: Pending) {
    this.#deps = { clock: Date.now, random: Math.random, wait: sleep, ...deps }
    const now = this.#deps.clock()
    this.#current = current
    this.#failures = pending?.failures ?? 0
    const due = current ? renewAt(current, now, this.#deps.random()) : now
    this.#due = pending ? Math.min(pending.due_ms, now + LONGEST_WAIT) : due
  }

  get current(): Certificate | undefined {
    return this.#current
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Asks for a certificate at once, also during a pause; nothing more where an order is under way. */
  renewNow(): void {
    this.#due = this.#deps.clock()
    this.#wake.abort()
  }

  /** What is under way must have been ended by then. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#wake.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#tellOfExpiry()
      const now = this.#deps.clock()
      if (now < this.#due) await this.#sleep(now)
      else await this.#attempt()
    }
  }

  async #sleep(now: number): Promise<void> {
    this.#wake = new AbortController()
    const current = this.#current
    const expiry = current && current !== this.#toldOf ? current.notAfter : Number.POSITIVE_INFINITY
    await this.#deps.wait(Math.min(this.#due - now, expiry - now, LOOK_MS), this.#wake.signal)
  }

  #tellOfExpiry(): void {
    const current = this.#current
    if (!current || current === this.#toldOf || this.#deps.clock() < current.notAfter) return
    this.#toldOf = current
    this.#deps.expired(current)
  }

  async #attempt(): Promise<void> {
    const { clock, random, obtain, install, keep, issued, failed } = this.#deps
    try {
      const certificate = await obtain()
      await install(certificate)
      this.#current = certificate
      this.#failures = 0
      this.#due = renewAt(certificate, clock(), random())
      await keep(undefined)
      issued(certificate, this.#due)
    } catch (error) {
      if (this.#stopped) return
      this.#failures += 1
      const asked = error instanceof AcmeFailure ? error.retryAfterMs : undefined
      this.#due = retryAt(this.#failures, asked, clock(), random())
      failed(error, this.#due)
      await keep({ failures: this.#failures, due_ms: Math.round(this.#due) }).catch(() => {})
    }
  }
}
