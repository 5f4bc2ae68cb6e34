// The ledger: closes sessions into the log and returns their receipts. Whatever finishes while one checkpoint is under
// way shares the next: one transaction, one counter step, one signature and one quote for all of them.
// Order (SPEC.md, "Checkpoint"): intent on disk, NV counter, signature, quote, answer.
import {
  type Code,
  encodeReceipt,
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
import type { Boot, Closed, Closing } from '../store/operations.ts'
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
  /** Digest of the attestation document that the receipt names. */
  document: string
  /** Called once the statements are durable, before the quote: the time to let go of the seal. */
  durable: (failure?: SealedError) => void
  resolve(closed: ClosedSession): void
  reject(error: Error): void
}

export class Ledger {
  readonly #deps: { store: Store; tpm: Tpm; key: LedgerKey; keySetDigest: Uint8Array; boot: Boot }
  #waiting: Waiting[] = []
  #working = false

  constructor(deps: {
    store: Store
    tpm: Tpm
    key: LedgerKey
    keySetDigest: Uint8Array
    boot: Boot
  }) {
    this.#deps = deps
  }

  /**
   * Opens this boot's log and holds the database against the TPM's counter. A cut between intent and increment rolls
   * forward; anything else is `state.rollback`, and nothing is served.
   */
  async start(): Promise<void> {
    const { store, tpm, boot, keySetDigest } = this.#deps
    const keySet = toHex(keySetDigest)
    const { counter } = await store.run('openLog', { origin: boot.origin, keySet })
    const now = await readCounter(tpm)
    if (counter === undefined) {
      if (now !== undefined && !(await store.runLazy('counterIntended', undefined)))
        throw rollback('the database is new, the TPM counts for an older one')
      await store.run('intendCounter', undefined)
      await tpm.counter.define(COUNTER_INDEX)
      await tpm.counter.increment(COUNTER_INDEX)
      await store.run('setCounter', await tpm.counter.read(COUNTER_INDEX))
      return
    }
    if (now === counter) return
    if (now === undefined || now !== counter - 1n)
      throw rollback(`the database is at ${counter}, the TPM at ${now ?? 'nothing'}`)
    await tpm.counter.increment(COUNTER_INDEX)
  }

  /** Closes one session; resolves with its receipt. `durable` runs as soon as the statements are on disk. */
  close(
    closing: Closing,
    document: string,
    durable: Waiting['durable'] = () => {},
  ): Promise<ClosedSession> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ closing, document, durable, resolve, reject })
      if (!this.#working) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#working = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0)
      try {
        await this.#checkpoint(batch)
      } catch (error) {
        for (const waiting of batch) waiting.reject(error as Error)
      }
    }
    this.#working = false
  }

  async #checkpoint(batch: Waiting[]): Promise<void> {
    const { store, tpm, key, keySetDigest, boot } = this.#deps
    const { body, counter, closed } = await store
      .run('closeSessions', { closings: batch.map(({ closing }) => closing), boot })
      .catch((error: SealedError) => {
        for (const waiting of batch) waiting.durable(error)
        throw error
      })
    for (const [i, waiting] of batch.entries()) waiting.durable(failureOf(closed[i]!))
    await tpm.counter.increment(COUNTER_INDEX)
    const stepped = await tpm.counter.read(COUNTER_INDEX)
    if (stepped !== counter) throw rollback(`the checkpoint says ${counter}, the TPM ${stepped}`)
    const extraData = await quoteBinding('checkpoint', keySetDigest, await sha256(utf8(body)))
    const [note, quote] = await Promise.all([
      signNote(body, boot.origin, key.publicKey, key.sign),
      tpm.quote(extraData, QUOTED_PCRS),
    ])
    const record = { attest: toBase64url(quote.attest), signature: toBase64url(quote.signature) }
    const receipts: { session: string; receipt: string }[] = []
    const settle = batch.map((waiting, i) => {
      const done = closed[i]!
      if ('error' in done) return () => waiting.reject(failureOf(done)!)
      const { session } = waiting.closing
      const leaf: SessionLeaf = {
        kind: 'session',
        session,
        statements: done.statements,
        version: 1,
      }
      const receipt = encodeReceipt({
        checkpoint: note,
        document: waiting.document,
        index: done.index,
        leaf,
        path: done.path,
        quote: record,
        version: 1,
      })
      receipts.push({ session, receipt })
      return () =>
        waiting.resolve({
          receipt,
          leaf,
          ...(done.reading !== undefined && { reading: done.reading }),
        })
    })
    await store.runLazy('keepReceipts', { note, receipts })
    for (const answer of settle) answer()
  }
}

const failureOf = (closed: Closed): SealedError | undefined =>
  'error' in closed
    ? new SessionFailure(closed.error.code as Code, closed.error.message)
    : undefined

/** A counter that was never stepped cannot be read. */
async function readCounter(tpm: Tpm): Promise<bigint | undefined> {
  return tpm.counter.read(COUNTER_INDEX).catch(() => undefined)
}

const rollback = (what: string) =>
  new SealedError(
    'state.rollback',
    `${what}: restore the database that belongs to this machine, or start a new instance`,
  )
