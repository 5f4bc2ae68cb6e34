// The ledger: closes sessions into the log and returns their receipts. Whatever finishes while one checkpoint is under
// way shares the next: one transaction, one counter step, one signature and one quote for all of them.
// Order (SPEC.md, "Checkpoint"): intent on disk, NV counter, signature, quote, answer.
import {
  type Code,
  encodeReceipt,
  parseAttest,
  QUOTED_PCRS,
  quoteBinding,
  SealedError,
  SessionFailure,
  type SessionLeaf,
  sha256,
  signNote,
  toBase64url,
  toHex,
  utf8,
} from '@sealed/protocol'
import type { LedgerKey } from '../keys/ledger-key.ts'
import type { Boot, Closing } from '../store/operations.ts'
import type { Store } from '../store/store.ts'
import type { Tpm } from '../tpm/index.ts'

/** NV index of the counter that binds the database to this TPM. */
export const COUNTER_INDEX = 0x01500018

export interface ClosedSession {
  receipt: string
  leaf: SessionLeaf
  reading?: string
}

interface Waiting {
  closing: Closing
  /** Called when the leaf is on disk, before the quote: the time to let go of the seal. */
  durable: () => void
  resolve(closed: ClosedSession): void
  reject(error: Error): void
}

export interface LedgerDeps {
  store: Store
  tpm: Tpm
  key: LedgerKey
  keySetDigest: Uint8Array
  boot: Boot
  /** Called after each checkpoint; must not throw, and is not waited for. */
  onCheckpoint?: () => void
  /** Called when nothing may be served any more: the state or the boot is not what it was. */
  onFatal: (error: SealedError) => void
}

const RETRY_MS = 1_000

export class Ledger {
  readonly #deps: LedgerDeps
  #waiting: Waiting[] = []
  #working = false
  /** Whether the last checkpoint's intent may be ahead of the TPM. */
  #unsettled = false
  #retry: NodeJS.Timeout | undefined
  /** Why the last checkpoint could not be made. */
  #failure: Error | undefined

  constructor(deps: LedgerDeps) {
    this.#deps = deps
  }

  /**
   * Opens this boot's log, holds the database against the TPM's counter, and proves what was left unproven; a log is
   * never without a checkpoint. A cut
   * between intent and increment rolls forward; anything else is `state.rollback`, and nothing is served.
   */
  async start(): Promise<void> {
    const { store, tpm, boot, keySetDigest } = this.#deps
    await store.run('openLog', { origin: boot.origin, keySet: toHex(keySetDigest) })
    if ((await store.runLazy('counter', undefined)) === undefined) {
      const counting = await tpm.counter.read(COUNTER_INDEX).catch(() => undefined)
      if (counting !== undefined && !(await store.runLazy('counterIntended', undefined)))
        throw rollback('the database is new, the TPM counts for an older one')
      await store.run('intendCounter', undefined)
      await tpm.counter.define(COUNTER_INDEX)
      await store.run('setCounter', await tpm.counter.read(COUNTER_INDEX))
    }
    await this.#settle()
    const begun = await store.runLazy('newestCheckpoint', boot.origin)
    if (!begun || (await store.runLazy('unproven', undefined))) await this.#checkpoint([])
  }

  /** Closes one session; resolves with its receipt. */
  close(closing: Closing, durable: Waiting['durable'] = () => {}): Promise<ClosedSession> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ closing, durable, resolve, reject })
      void this.#work()
    })
  }

  get able(): boolean {
    return this.#failure === undefined
  }

  /** Throws `embassy.unavailable` while no checkpoint can be made: what cannot be proven is not begun. */
  ensureAble(): void {
    if (this.#failure)
      throw new SessionFailure(
        'embassy.unavailable',
        'the log cannot be proven at the moment, so nothing was revealed: try again later',
        { cause: this.#failure, retryAfterMs: RETRY_MS },
      )
  }

  stop(): void {
    clearTimeout(this.#retry)
  }

  async #work(): Promise<void> {
    if (this.#working) return
    this.#working = true
    while (this.#waiting.length > 0) await this.#attempt(this.#waiting.splice(0))
    this.#working = false
  }

  async #attempt(batch: Waiting[]): Promise<void> {
    try {
      if (this.#unsettled) await this.#settle()
      await this.#checkpoint(batch)
      this.#failure = undefined
    } catch (error) {
      this.#failure = error as Error
      for (const { reject } of batch) reject(error as Error)
      const fatal =
        error instanceof SealedError &&
        (error.code === 'state.rollback' || error.code === 'boot.key_lost')
      if (fatal) this.#deps.onFatal(error)
      else this.#proveLater()
    }
  }

  /** Leaves that are on disk get their receipts as soon as the TPM is able again. */
  #proveLater(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(async () => {
      if (this.#working) return
      this.#working = true
      await this.#attempt([])
      this.#working = false
      void this.#work()
    }, RETRY_MS)
  }

  /** Brings the TPM's counter to the database's, by one step at most. */
  async #settle(): Promise<void> {
    const { store, tpm } = this.#deps
    const counter = await store.runLazy('counter', undefined)
    const now = await tpm.counter.read(COUNTER_INDEX)
    if (now === counter! - 1n) await tpm.counter.increment(COUNTER_INDEX)
    else if (now !== counter) throw rollback(`the database is at ${counter}, the TPM at ${now}`)
    this.#unsettled = false
  }

  async #checkpoint(batch: Waiting[]): Promise<void> {
    const { store, tpm, key, keySetDigest, boot } = this.#deps
    const closings = batch.map(({ closing }) => closing)
    const { body, counter, refused, readings, proofs } = await store.run('closeSessions', {
      closings,
      boot,
    })
    this.#unsettled = true
    const accepted = batch.filter(({ closing, durable, reject }) => {
      const failure = refused[closing.session]
      const error = failure && new SealedError(failure.code as Code, failure.message)
      if (error) reject(error)
      else durable()
      return !error
    })
    await tpm.counter.increment(COUNTER_INDEX)
    const stepped = await tpm.counter.read(COUNTER_INDEX)
    if (stepped !== counter) throw rollback(`the checkpoint says ${counter}, the TPM ${stepped}`)
    this.#unsettled = false
    const extraData = await quoteBinding('checkpoint', keySetDigest, await sha256(utf8(body)))
    const [note, { attest, signature }] = await Promise.all([
      signNote(body, boot.origin, key.publicKey, key.sign),
      tpm.quote(extraData, QUOTED_PCRS),
    ])
    if (parseAttest(attest).resetCount !== boot.resetCount)
      throw new SealedError(
        'boot.key_lost',
        'the TPM was reset behind the embassy: start again, as a new boot',
      )
    const quote = { attest: toBase64url(attest), signature: toBase64url(signature) }
    const receipts = proofs.map(({ session, leaf, document, index, path }) => ({
      session,
      index,
      receipt: encodeReceipt({ checkpoint: note, document, index, leaf, path, quote, version: 1 }),
    }))
    await store.runLazy('keepReceipts', { note, receipts })
    this.#deps.onCheckpoint?.()
    for (const { closing, resolve } of accepted) {
      const at = proofs.findIndex(({ session }) => session === closing.session)
      const reading = readings[closing.session]
      resolve({
        receipt: receipts[at]!.receipt,
        leaf: proofs[at]!.leaf,
        ...(reading !== undefined && { reading }),
      })
    }
  }
}

const rollback = (what: string) =>
  new SealedError(
    'state.rollback',
    `${what}: restore the database that belongs to this machine, or start a new instance`,
  )
