// The ledger: begins sessions, closes them into the log and returns their receipts. Whatever comes while one step is
// under way shares the next: one transaction and one link of the TPM's hash chain for all that begins and ends, one
// counter step, one signature and one quote for all that ends.
// Order (SPEC.md, "Checkpoint"): intent on disk, NV chain, NV counter, signature, quote, answer. No key is revealed
// before its session's opening is in the chain: no restored disk can undo a use.
import {
  type AbortReason,
  type Code,
  equal,
  parseAttest,
  QUOTED_PCRS,
  quoteBinding,
  SealedError,
  SessionFailure,
  type Statement,
  sha256,
  signNote,
  utf8,
} from '@sealed/protocol'
import type { LedgerKey } from '../keys/ledger-key.ts'
import { type Steps, UNMEASURED } from '../steps.ts'
import type { Draft } from '../store/stamp.ts'
import type {
  Boot,
  CheckpointIntent,
  Closing,
  Opening,
  RestoredStart,
  Stepped,
} from '../store/step.ts'
import type { Store } from '../store/store.ts'
import type { Anchor } from '../tpm/index.ts'
import type { Flag } from './flag.ts'
import {
  CHAIN_INDEX,
  COUNTER_INDEX,
  ensureAddition,
  ofThisBoot,
  prepareLog,
  rollback,
} from './prepare-log.ts'
import { type Given, giveOut } from './receipts.ts'

export interface ClosedSession {
  receipt: string
  reading?: string
}

interface Begin {
  opening: Opening
  resolve(): void
  reject(error: Error): void
}
interface End {
  closing: Closing
  /** Called when the leaf is on disk, before the quote: the time to let go of the seal. */
  durable: () => void
  resolve(closed: ClosedSession): void
  reject(error: Error): void
}

export interface LedgerDeps {
  store: Store
  tpm: Anchor
  key: LedgerKey
  keySetDigest: Uint8Array
  boot: Boot
  /** Set from the first signature of this boot's ledger key on; gone with the key. */
  begun: Flag
  /** Set where the database is a backup that was restored. */
  restored: Flag
  steps?: Steps
  /** Called for each session whose leaf is on disk; must not throw, and is not waited for. */
  onEnded?: (closing: Closing) => void
  /** Called after each checkpoint; must not throw, and is not waited for. */
  onCheckpoint?: () => void
  /** Called when nothing may be served any more: the state or the boot is not what it was. */
  onFatal: (error: SealedError) => void
}

const RETRY_MS = 1_000
/** Checkpoints are written with the next step, or after this long without one. */
const KEEP_MS = 50

export class Ledger {
  readonly #deps: LedgerDeps
  readonly #steps: Steps
  #begins: Begin[] = []
  #ends: End[] = []
  #working = false
  /** Whether the last step's intent may be ahead of the TPM. */
  #unsettled = false
  /** Whether leaves are on disk for which no receipt could be made. */
  #behind = false
  /** What was given out and is not on disk yet, and openings to be forgotten there. */
  #kept: Given[] = []
  #dropped: string[] = []
  #keeping: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  /** Why the last step failed. */
  #failure: Error | undefined

  constructor(deps: LedgerDeps) {
    this.#deps = deps
    this.#steps = deps.steps ?? UNMEASURED
  }

  /**
   * Opens this boot's log, holds the database against the TPM's chain and counter, and proves what was left unproven; a
   * log is never without a checkpoint. A cut between intent and TPM rolls forward; anything else is `state.rollback`, and
   * nothing is served.
   */
  async start(): Promise<void> {
    const { store, boot, restored } = this.#deps
    const begin = await prepareLog(this.#deps)
    if (!begin)
      await this.#settle('start').catch(async (error: Error) => {
        throw (await restored.isSet()) ? ofThisBoot(error) : error
      })
    const begun = await store.runLazy('newestCheckpoint', boot.origin)
    this.#behind = !begun || (await store.runLazy('unproven', undefined))
    if (this.#behind || this.#dropped.length > 0) {
      await this.#step([], [], begin)
      await this.written()
    }
    await restored.clear()
  }

  /** Begins one session: resolves when its opening is on disk and in the TPM's chain. */
  open(opening: Opening): Promise<void> {
    return this.#steps.time('opening', () => {
      return new Promise((resolve, reject) => {
        this.#begins.push({ opening, resolve, reject })
        void this.#work()
      })
    })
  }

  /** Closes one session; resolves with its receipt. */
  close(closing: Closing, durable: End['durable'] = () => {}): Promise<ClosedSession> {
    return this.#steps.time('commit', () => {
      return new Promise((resolve, reject) => {
        this.#ends.push({ closing, durable, resolve, reject })
        void this.#work()
      })
    })
  }

  /** Ends an epoch; resolves when its leaf is on disk. No receipt is made of it. */
  end(epoch: string, statements: Statement[], drafts: Draft[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const closing: Closing = { session: epoch, statements, end: { kind: 'epoch', drafts } }
      this.#ends.push({ closing, durable: resolve, resolve: () => {}, reject })
      void this.#work()
    })
  }

  /** Forgets an open session to which nothing was revealed, with the next step. */
  drop(session: string): void {
    this.#dropped.push(session)
  }

  /** The receipt of a session that has ended here. */
  async receipt(session: string): Promise<string | undefined> {
    for (const { receipts } of this.#kept) {
      const receipt = receipts.get(session)
      if (receipt !== undefined) return receipt
    }
    return this.#deps.store.runLazy('receipt', session)
  }

  get able(): boolean {
    return this.#failure === undefined
  }

  /** Throws `embassy.unavailable`, or `disk.full`, while no step can be made: what cannot be proven is not begun. */
  ensureAble(): void {
    if (this.#failure) throw unable(this.#failure)
  }

  /** Holds the TPM against the database between two steps: found is whoever else moved either, or put it back. */
  async check(): Promise<void> {
    if (this.#working || this.#unsettled || this.#failure) return
    this.#working = true
    try {
      const { store, tpm } = this.#deps
      const { chain, counter } = (await store.runLazy('anchors', undefined))!
      const linked = await tpm.readNv(CHAIN_INDEX)
      const counted = await tpm.counter.read(COUNTER_INDEX)
      if (!equal(linked, chain) || counted !== counter)
        this.#deps.onFatal(rollback('counter or chain in the TPM moved while nobody here moved it'))
    } finally {
      this.#working = false
      void this.#work()
    }
  }

  /** Writes what waits to be written. */
  async stop(): Promise<void> {
    clearTimeout(this.#retry)
    await this.written()
  }

  async #work(): Promise<void> {
    if (this.#working) return
    this.#working = true
    while (this.#begins.length > 0 || this.#ends.length > 0)
      await this.#attempt(this.#begins.splice(0), this.#ends.splice(0))
    this.#working = false
  }

  async #attempt(begins: Begin[], ends: End[]): Promise<void> {
    try {
      if (this.#unsettled) await this.#settle()
      await this.#step(begins, ends)
      this.#failure = undefined
    } catch (error) {
      this.#failure = error as Error
      for (const { reject } of ends) reject(error as Error)
      for (const { opening, reject } of begins) {
        // It may be on disk: nothing was revealed, so nothing shall be found of it.
        this.#dropped.push(opening.id)
        reject(unable(error as Error))
      }
      const fatal =
        error instanceof SealedError &&
        (error.code === 'state.rollback' || error.code === 'boot.key_lost')
      if (fatal) this.#deps.onFatal(error)
      else this.#tryLater()
    }
  }

  /** Leaves that are on disk get their receipts as soon as the TPM is able again. */
  #tryLater(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(async () => {
      if (this.#working) return
      this.#working = true
      await this.#attempt([], [])
      this.#working = false
      void this.#work()
    }, RETRY_MS)
  }

  /** Brings the TPM's chain and counter to the database's, by one step at most. */
  async #settle(at?: 'start'): Promise<void> {
    const { store, tpm } = this.#deps
    const { chain, before, link, counter, opened } = (await store.runLazy('anchors', undefined))!
    const linked = await tpm.readNv(CHAIN_INDEX)
    if (!equal(linked, chain)) {
      if (link.length === 0 || !equal(linked, before))
        throw rollback('the TPM’s chain is not at the database’s last step or the one before it')
      if (at === 'start') await ensureAddition(this.#deps)
      await tpm.extendNv(CHAIN_INDEX, link)
      // What an earlier life had begun in this step was never revealed.
      if (at === 'start') this.#dropped.push(...opened)
    }
    const counted = await tpm.counter.read(COUNTER_INDEX)
    if (counted === counter - 1n) await tpm.counter.increment(COUNTER_INDEX)
    else if (counted !== counter)
      throw rollback(`the database is at ${counter}, the TPM at ${counted}`)
    this.#unsettled = false
  }

  async #step(begins: Begin[], ends: End[], restored?: RestoredStart): Promise<void> {
    const { store, tpm, boot } = this.#deps
    const [kept, dropped] = [this.#kept, this.#dropped]
    // Until it is known what became of the step, it may be on disk whole.
    this.#unsettled = true
    this.#behind ||= ends.length > 0
    const stepped = await store.run('step', {
      boot,
      ...(restored && { restored }),
      openings: begins.map(({ opening }) => opening),
      closings: ends.map(({ closing }) => closing),
      checkpoint: this.#behind,
      kept: kept.map(({ checkpoint }) => checkpoint),
      dropped,
    })
    this.#kept = this.#kept.filter((batch) => !kept.includes(batch))
    this.#dropped = this.#dropped.filter((id) => !dropped.includes(id))
    if (kept.length > 0) this.#deps.onCheckpoint?.()
    const begun = begins.filter(({ opening, reject }) => accepted(stepped, opening.id, reject))
    const ended = ends.filter(({ closing, reject }) => accepted(stepped, closing.session, reject))
    for (const { durable } of ended) durable()
    this.#tell(begun.length, ended)
    const { link, checkpoint } = stepped
    this.#unsettled = link !== undefined
    if (!link) return
    await tpm.extendNv(CHAIN_INDEX, link)
    if (checkpoint) await tpm.counter.increment(COUNTER_INDEX)
    this.#unsettled = false
    for (const { resolve } of begun) resolve()
    // Their keys may be on their way: what fails from here on must not have them forgotten.
    begins.length = 0
    if (checkpoint) await this.#prove(checkpoint, ended, stepped.readings)
  }

  #tell(begun: number, ended: readonly End[]): void {
    this.#steps.batch(begun, ended.length)
    for (const { closing } of ended) {
      const { end } = closing
      if (end.kind === 'abort') this.#steps.aborted(end.abort.reason as AbortReason)
      this.#deps.onEnded?.(closing)
    }
  }

  /** Signs and quotes a checkpoint that disk and TPM have counted, and gives out its receipts. */
  async #prove(
    intent: CheckpointIntent,
    ended: readonly End[],
    readings: Stepped['readings'],
  ): Promise<void> {
    const { tpm, key, keySetDigest, boot, begun } = this.#deps
    await begun.set()
    const extraData = await quoteBinding(
      'checkpoint',
      keySetDigest,
      await sha256(utf8(intent.body)),
    )
    const [note, quoted] = await Promise.all([
      signNote(intent.body, boot.origin, key.publicKey, key.sign),
      tpm.quote(extraData, QUOTED_PCRS),
    ])
    if (quoted && parseAttest(quoted.attest).resetCount !== boot.resetCount)
      throw new SealedError(
        'boot.key_lost',
        'the TPM was reset behind the embassy: start again, as a new boot',
      )
    const given = giveOut(intent, note, quoted)
    this.#behind = false
    this.#kept.push(given)
    clearTimeout(this.#keeping)
    this.#keeping = setTimeout(() => void this.written().catch(() => {}), KEEP_MS)
    for (const { closing, resolve } of ended) {
      if (closing.end.kind === 'epoch') continue
      const reading = readings[closing.session]
      resolve({
        receipt: given.receipts.get(closing.session)!,
        ...(reading !== undefined && { reading }),
      })
    }
  }

  /**
   * Resolves when what was given out is in the database, from which log and proofs are served. A receipt need not wait
   * for that: one lost before it is made again at the next start.
   */
  async written(): Promise<void> {
    clearTimeout(this.#keeping)
    if (this.#kept.length === 0) return
    for (const given of [...this.#kept]) {
      await this.#deps.store.runLazy('keepCheckpoint', given.checkpoint)
      this.#kept = this.#kept.filter((other) => other !== given)
    }
    this.#deps.onCheckpoint?.()
  }
}

/** Whether a step took this session in; one that was refused is told why. */
function accepted({ refused }: Stepped, session: string, reject: (error: Error) => void): boolean {
  const failure = refused[session]
  if (failure) reject(new SealedError(failure.code as Code, failure.message))
  return !failure
}

const unable = (cause: Error): Error =>
  cause instanceof SealedError && cause.code === 'disk.full'
    ? cause
    : new SessionFailure(
        'embassy.unavailable',
        'the log cannot be proven at the moment, so nothing was revealed: try again later',
        { cause, retryAfterMs: RETRY_MS },
      )
