// Shows each checkpoint to the witnesses that are configured (C2SP tlog-witness) and keeps what they sign. Never in the
// way of a receipt: it runs after the answer, and a witness that is dead, slow or wrong costs nobody but itself. Those
// that are free are shown the same checkpoint at the same time, so that their cosignatures meet under one.
import {
  encodeAddCheckpoint,
  parseKnownSize,
  parseNote,
  parseSignatureLines,
  readCosignatures,
  type WitnessKey,
} from '@sealed/protocol'
import type { Log } from '../log.ts'
import type { Store } from '../store/store.ts'
import { type Post, postText } from './post-text.ts'

export interface Witness extends WitnessKey {
  /** Submission prefix. */
  url: string
}

export interface WitnessesDeps {
  store: Pick<Store, 'runLazy'>
  origin: string
  witnesses: readonly Witness[]
  log: Log
  post?: Post
  /** Least time between two looks at what is newest, so that busy hours do not make busy witnesses. */
  pauseMs?: number
  /** First delay after a failure; it doubles up to `BACK_OFF_MAX_MS`. */
  backOffMs?: number
}

const PAUSE_MS = 1_000
const BACK_OFF_MS = 1_000
const BACK_OFF_MAX_MS = 300_000

/** Where one witness stands. */
interface Standing {
  witness: Witness
  /** Size that it cosigned last, as far as is known. */
  known: number
  /** The newest checkpoint that it cosigned. */
  cosigned: string | undefined
  failures: number
  notBefore: number
  /** Set while it is being asked. */
  busy: Promise<void> | undefined
}
interface Newest {
  note: string
  size: number
}

export class Witnesses {
  readonly #deps: WitnessesDeps
  readonly #standings: Standing[]
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #timerAt = 0
  #pausedUntil = 0
  #looking: Promise<void> | undefined

  constructor(deps: WitnessesDeps) {
    this.#deps = deps
    this.#standings = deps.witnesses.map((witness) => ({
      witness,
      known: 0,
      cosigned: undefined,
      failures: 0,
      notBefore: 0,
      busy: undefined,
    }))
  }

  /** There is a newer checkpoint; of however many come meanwhile, the last is shown. */
  notify(): void {
    this.#schedule(0)
  }

  /** Gives up what is under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#looking
    await Promise.all(this.#standings.map(({ busy }) => busy))
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted || this.#standings.length === 0) return
    const at = Math.max(performance.now() + delayMs, this.#pausedUntil)
    if (this.#timer && this.#timerAt <= at) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#looking = this.#look().catch((error: Error) =>
          this.#deps.log('witnesses not asked', { error: error.message }),
        )
      },
      Math.max(0, at - performance.now()),
    )
    this.#timer.unref()
  }

  /** Asks whoever is free and has not cosigned the newest checkpoint; comes back for those who must wait. */
  async #look(): Promise<void> {
    this.#pausedUntil = performance.now() + (this.#deps.pauseMs ?? PAUSE_MS)
    const newest = await this.#deps.store.runLazy('newestCheckpoint', this.#deps.origin)
    if (!newest || this.#stop.signal.aborted) return
    const now = performance.now()
    const behind = this.#standings.filter((one) => !one.busy && one.cosigned !== newest.note)
    for (const standing of behind) {
      if (standing.notBefore > now) this.#schedule(standing.notBefore - now)
      else
        standing.busy = this.#ask(standing, newest).then(() => {
          standing.busy = undefined
          this.#schedule(0)
        })
    }
  }

  async #ask(standing: Standing, newest: Newest): Promise<void> {
    const { name } = standing.witness
    try {
      const line = await this.#submit(standing, newest)
      const { origin, store } = this.#deps
      await store.runLazy('keepCosignature', { origin, note: newest.note, name, line })
      Object.assign(standing, { known: newest.size, cosigned: newest.note, failures: 0 })
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const delay = (this.#deps.backOffMs ?? BACK_OFF_MS) * 2 ** standing.failures
      const wait = Math.min(BACK_OFF_MAX_MS, delay)
      standing.failures += 1
      standing.notBefore = performance.now() + wait
      this.#deps.log('witness did not cosign', {
        witness: name,
        reason: (error as Error).message,
        retry_ms: wait,
      })
    }
  }

  /** Its line on this checkpoint. A witness that knows another size than thought is asked once more. */
  async #submit(standing: Standing, newest: Newest): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const { body, status } = await this.#post(standing, newest)
      const known = status === 409 ? parseKnownSize(body) : undefined
      if (known === undefined) return this.#lineIn(standing, newest, status, body)
      if (known > newest.size)
        throw new Error(`it has seen this log with ${known} leaves, here are ${newest.size}`)
      if (attempt > 0) throw new Error('it changes the size it knows')
      standing.known = known
    }
  }

  async #post({ known, witness }: Standing, { note, size }: Newest) {
    const { origin, post = postText, store } = this.#deps
    const proof = await store.runLazy('consistency', { origin, old: known, size })
    const request = encodeAddCheckpoint({
      old: known,
      proof: proof.map((hash) => Uint8Array.from(hash)),
      checkpoint: note,
    })
    const prefix = witness.url.replace(/\/$/, '')
    return post(`${prefix}/add-checkpoint`, request, this.#stop.signal)
  }

  async #lineIn({ witness }: Standing, { note }: Newest, status: number, body: string) {
    if (status !== 200) throw new Error(`it answers ${status}`)
    const { body: checkpoint } = parseNote(note)
    const answered = { body: checkpoint, signatures: parseSignatureLines(body) }
    const [cosignature] = await readCosignatures(answered, [witness])
    if (!cosignature) throw new Error('it answers without a cosignature of its key')
    return cosignature.line
  }
}
