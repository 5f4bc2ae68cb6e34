// What this edge knows of the machine behind it: the last attestation document that it asked for with a nonce of its own
// and that verified under its policy. Kept for minutes, looked at again before it ends, one look at a time. While there is
// none, nobody gets past here. It chooses where envelopes go; what clients trust is their own check.
import {
  canonicalBytes,
  documentDigest,
  keySetDigest,
  type Policy,
  parseAttestationAnswer,
  randomBytes,
  SealedError,
  SessionFailure,
  sha256Hex,
  toBase64url,
  toHex,
  type Verdict,
  verifyDocument,
} from '@sealed/protocol'
import { type Origin, OriginFailure } from './origin.ts'

/** How long a verified document serves, and from when on the next look is taken beside the requests. */
export const KEPT_MS = 300_000
export const REFRESH_MS = 240_000
/** Least time between a look that failed, or that an envelope asked for, and the next: each costs the machine a quote. */
export const PAUSE_MS = 5_000
const DEADLINE_MS = 10_000
/** A look older than this belongs to a request that the runtime has ended; nobody will hear from it. */
const LOST_MS = 2 * DEADLINE_MS
const MAX_ANSWER_BYTES = 2 * 1024 * 1024
const NONCE_BYTES = 32

export interface Checked {
  /** SHA-256 of the document, in hex. */
  document: string
  /** K, in hex. */
  keySet: string
  /** SHA-256 of the policy's canonical form, in hex. */
  policy: string
  /** When it was asked for. */
  at: number
}

export interface Surroundings {
  /** Milliseconds since 1970. */
  clock: () => number
  /** Lets work end although the request that began it has been answered or given up. */
  keep: (work: Promise<unknown>) => void
}

export class Machine {
  readonly #origin: Origin
  readonly #policy: Policy
  readonly #clock: () => number
  readonly #keep: (work: Promise<unknown>) => void
  #last: Checked | undefined
  #look: { checked: Promise<Checked>; since: number } | undefined
  #failed: { error: SealedError; at: number } | undefined

  constructor(origin: Origin, policy: Policy, { clock, keep }: Surroundings) {
    this.#origin = origin
    this.#policy = policy
    this.#clock = clock
    this.#keep = keep
  }

  /** What was verified and still serves; throws `edge.unverified` (503) while there is nothing. */
  async checked(): Promise<Checked> {
    const now = this.#clock()
    const last = this.#last
    if (!last || !within(now, last.at, KEPT_MS)) return this.#lookNow(now)
    if (now >= last.at + REFRESH_MS) this.#lookNow(now).catch(() => {})
    return last
  }

  /** The same for an envelope to the machine with this key set: after a reboot the edge may know the boot before. */
  async checkedFor(keySet: string): Promise<Checked> {
    let checked = await this.checked()
    const now = this.#clock()
    if (checked.keySet !== keySet && !within(now, checked.at, PAUSE_MS))
      checked = await this.#lookNow(now)
    if (checked.keySet === keySet) return checked
    throw new SealedError(
      'envelope.expect_mismatch',
      'the envelope is for another machine, or for an earlier boot of the one behind this edge; attest again',
      { param: 'expect.key_set' },
    )
  }

  /**
   * After a request that the machine did not answer as it should: the next one waits for another look. Not right after
   * one, so that nobody who knows a request that breaks off costs the machine a quote with each.
   */
  doubt(): void {
    if (this.#last && !within(this.#clock(), this.#last.at, PAUSE_MS)) this.#last = undefined
  }

  #lookNow(now: number): Promise<Checked> {
    if (this.#look && within(now, this.#look.since, LOST_MS)) return this.#look.checked
    if (this.#failed && within(now, this.#failed.at, PAUSE_MS))
      return Promise.reject(this.#failed.error)
    const look = { checked: this.#attest(now), since: now }
    this.#look = look
    const ended = look.checked.then(
      (checked) => {
        if (this.#look !== look) return
        this.#last = checked
        this.#failed = undefined
      },
      (error) => {
        if (this.#look !== look) return
        // A machine that cannot be asked keeps the time that it has; one whose evidence is bad loses it at once.
        if (!(error.cause instanceof OriginFailure)) this.#last = undefined
        this.#failed = { error, at: this.#clock() }
      },
    )
    this.#keep(
      ended.finally(() => {
        if (this.#look === look) this.#look = undefined
      }),
    )
    return look.checked
  }

  async #attest(at: number): Promise<Checked> {
    const nonce = randomBytes(NONCE_BYTES)
    try {
      const path = `/v1/attestation?nonce=${toBase64url(nonce)}`
      const bytes = await this.#origin.get(path, MAX_ANSWER_BYTES, AbortSignal.timeout(DEADLINE_MS))
      if (!bytes) throw new OriginFailure('there is no attestation at the origin')
      const { challenge, document } = parseAttestationAnswer(bytes)
      const input = { document, ...(challenge && { challenge: { nonce, answer: challenge } }) }
      // What is valid at both ends of the time that it serves for is valid at every moment between.
      for (const moment of [at, at + KEPT_MS])
        mustBeFresh(await verifyDocument(input, this.#policy, moment))
      return {
        document: await documentDigest(document),
        keySet: toHex(await keySetDigest(document.key_set)),
        policy: await sha256Hex(canonicalBytes(this.#policy)),
        at,
      }
    } catch (error) {
      throw unverified(error)
    }
  }
}

/** A clock that was set back makes nothing last longer. */
const within = (now: number, from: number, ms: number) => from <= now && now < from + ms

class Unfit extends Error {}

/** A verifier of old receipts may do without a challenge; whoever forwards to a machine now may not. */
function mustBeFresh({ checks, outcome }: Verdict): void {
  const challenge = checks.find(({ id }) => id === 'document.challenge')
  if (outcome === 'verified' && challenge?.result === 'pass') return
  const open = outcome === 'verified' ? challenge : undefined
  const worst =
    open ??
    checks.find(({ result }) => result === 'fail') ??
    checks.find(({ required, result }) => required && result === 'skip')
  throw new Unfit(worst ? `${worst.id}: ${worst.reason}` : outcome)
}

/** The deadline and everything that the VM itself refuses count as not having been asked. */
function unverified(error: unknown): SessionFailure {
  const asked = error instanceof Unfit || (error instanceof SealedError && !isRefusal(error))
  const cause =
    asked || error instanceof OriginFailure ? error : new OriginFailure('no answer', error)
  const why = asked
    ? `does not verify here (${(error as Error).message})`
    : 'cannot be asked for its attestation'
  return new SessionFailure(
    'edge.unverified',
    `the machine behind this edge ${why}; nothing was forwarded`,
    { cause, retryAfterMs: PAUSE_MS },
  )
}

const isRefusal = (error: SealedError) => error instanceof SessionFailure
