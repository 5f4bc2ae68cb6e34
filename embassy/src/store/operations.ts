// What the store's thread can do: each operation takes plain data, runs inside the batch's transaction and returns
// plain data. A failing operation undoes itself alone.
import { hash } from 'node:crypto'
import {
  canonicalize,
  checkpointBody,
  type Leaf,
  SealedError,
  type Statement,
} from '@sealed/protocol'
import { append, inclusionPath, root } from '../ledger/tree.ts'
import {
  type Anchors,
  beginAnchors,
  extendChain,
  raiseCounter,
  readAnchors,
  setHead,
} from './anchors.ts'
import { checkAddition } from './check-addition.ts'
import { checkLast, checkPages } from './check-last.ts'
import { close } from './closing-rows.ts'
import { ensureIntact, type LogEnd } from './log-rows.ts'
import { type Begun, OpenSessions } from './open-sessions.ts'
import { type Pruned, type Pruning, prune } from './prune-rows.ts'
import { keepCheckpoint, unproven } from './receipt-rows.ts'
import { checkRegistry, cover, digestOf, SignatureCache, stateOf } from './registry-rows.ts'
import { type Connection, getMeta, nodesOf, Statements, setMeta } from './rows.ts'
import type {
  Boot,
  CheckpointIntent,
  Closing,
  Kept,
  Opening,
  RestoredStart,
  Step,
  Stepped,
} from './step.ts'
import { MarkedRows } from './unsealed-mark.ts'

const NONCE_LIFETIME_MS = 15 * 60_000

export class Operations extends MarkedRows {
  readonly #sql: Statements
  readonly #cache = new SignatureCache()
  #openSessions = new OpenSessions()
  readonly #isolate: (body: () => unknown) => unknown
  #log = 0
  #keySet = ''

  constructor(db: Connection) {
    const sql = new Statements(db)
    super(sql)
    this.#sql = sql
    this.#isolate = db.transaction((body: () => unknown) => {
      const value = body()
      sql.writeMeta()
      return value
    })
  }

  /** Runs `body` so that its failure undoes it and nothing else. */
  isolated<T>(body: () => T): T {
    // What was set before is no part of it.
    this.#sql.writeMeta()
    try {
      return this.#isolate(body) as T
    } catch (error) {
      // What it had written is not there any more.
      this.#openSessions = new OpenSessions()
      this.#sql.forgetMeta()
      throw error
    }
  }

  /**
   * Sets the log of this boot; a new one gets its first leaf with the first step. Throws `state.rollback` when registry,
   * meters, open sessions or the log are not those of the last step.
   */
  openLog(boot: { origin: string; keySet: string }): void {
    checkRegistry(this.#sql)
    const known = this.#sql.get<LogEnd>('SELECT * FROM logs WHERE origin = ?', boot.origin)
    const last = this.#sql.get<LogEnd>('SELECT * FROM logs WHERE size > 0 ORDER BY id DESC LIMIT 1')
    ensureIntact(this.#sql, known ?? last)
    checkLast(this.#sql)
    this.#keySet = boot.keySet
    this.#log =
      known?.id ??
      Number(
        this.#sql.run('INSERT INTO logs (origin, size) VALUES (?, 0)', boot.origin).lastInsertRowid,
      )
  }

  /** Whether this boot's log has its first leaf in this database. */
  hasLog(origin: string): boolean {
    return this.#sql.get('SELECT 1 FROM logs WHERE origin = ? AND size > 0', origin) !== undefined
  }

  /** Throws `state.rollback` where a step that the TPM has not taken takes anything away. */
  checkAddition(): void {
    checkAddition(this.#sql)
  }

  /** Throws `log.damaged` where the file is not whole. */
  checkPages(): void {
    checkPages(this.#sql)
  }

  /** The first leaf of a log names where the one before it ended, and what a restored backup left out. */
  #begin(restored?: RestoredStart): void {
    if (restored) beginAnchors(this.#sql, restored.counter, restored.chain)
    const previous = this.#sql.get<LogEnd>(
      'SELECT * FROM logs WHERE id < ? AND note IS NOT NULL ORDER BY id DESC LIMIT 1',
      this.#log,
    )
    cover(this.#sql, { boots: 1, rollbacks: restored ? 1 : 0 })
    setMeta(this.#sql, 'checkpoint.time', 0)
    this.#append({
      ...(restored && { gap: restored.gap }),
      key_set: this.#keySet,
      kind: 'boot',
      ...(previous?.note && {
        previous: {
          checkpoint_digest: hash('sha256', previous.note),
          origin: previous.origin,
          root: root(nodesOf(this.#sql, previous.id), previous.size).toString('hex'),
          size: previous.size,
        },
      }),
      started_ms: Date.now(),
      version: 1,
    })
  }

  anchors(): Anchors | undefined {
    return readAnchors(this.#sql)
  }

  /** Notes, before counter and chain exist in the TPM, that this database is about to make them. */
  intendAnchors(): void {
    setMeta(this.#sql, 'anchors.intended', 1)
  }

  anchorsIntended(): boolean {
    return getMeta(this.#sql, 'anchors.intended') !== undefined
  }

  beginAnchors({ counter, chain }: { counter: bigint; chain: Uint8Array }): void {
    beginAnchors(this.#sql, counter, chain)
  }

  /** Sessions, and epochs, that were open when the embassy stopped. */
  openSessions(): { id: string; statements: Statement[]; document: string }[] {
    const rows = this.#sql.all<{ id: string; statements: string; document: string }>(
      'SELECT * FROM sessions',
    )
    return rows.map((row) => ({ ...row, statements: JSON.parse(row.statements) as Statement[] }))
  }

  nonceSeen(nonce: string): boolean {
    return this.#sql.get('SELECT 1 FROM nonces WHERE nonce = ?', nonce) !== undefined
  }

  /** Which beginnings of so many digits the nonces have that were used lately. */
  nonceBeginnings(digits: number): string[] {
    return this.#sql
      .all<{ beginning: string }>(
        'SELECT DISTINCT substr(nonce, 1, ?) AS beginning FROM nonces',
        digits,
      )
      .map(({ beginning }) => beginning)
  }

  /**
   * One step: nonces and opening statements (durable point A), registry, meters and leaves of what ended (durable point
   * B), and where asked for one checkpoint intent, which also proves what an earlier one could not.
   */
  step({ boot, restored, openings, closings, checkpoint, kept, dropped }: Step): Stepped {
    for (const given of kept) this.keepCheckpoint(given)
    for (const id of dropped) this.#drop(id)
    if (this.#size() === 0) this.#begin(restored)
    const refused: Stepped['refused'] = {}
    const readings: Stepped['readings'] = {}
    const attempt = (session: string, act: () => void): void => {
      try {
        this.isolated(act)
      } catch (error) {
        if (!(error instanceof SealedError)) throw error
        refused[session] = { code: error.code, message: error.message }
      }
    }
    const opened: Begun[] = []
    for (const opening of openings) attempt(opening.id, () => opened.push(...this.#open(opening)))
    for (const closing of closings)
      attempt(closing.session, () => {
        const reading = this.#close(closing, boot.origin)
        if (reading !== undefined) readings[closing.session] = reading
      })
    const made = checkpoint ? this.#checkpoint(boot) : undefined
    if (opened.length === 0 && dropped.length === 0 && !made) return { refused, readings }
    const open = this.#openSessions.digest(this.#sql, opened)
    const link = extendChain(this.#sql, { open, opened, ...(made && { body: made.body }) })
    return { link, ...(made && { checkpoint: made }), refused, readings }
  }

  /** What has begun with it. Throws `envelope.replayed`, and `request.invalid` for an id that was used before. */
  #open({ id, nonce, statements, document, epoch }: Opening): Begun[] {
    const taken = [
      'SELECT 1 FROM sessions WHERE id = ?',
      'SELECT 1 FROM leaves WHERE session = ?',
      'SELECT 1 FROM pruned WHERE session = ?',
    ]
    if (taken.some((sql) => this.#sql.get(sql, id) !== undefined))
      throw new SealedError('request.invalid', 'there was a session with this id', {
        param: 'session',
      })
    if (nonce !== undefined) {
      if (this.nonceSeen(nonce))
        throw new SealedError(
          'envelope.replayed',
          'this nonce was used before: make a new envelope',
        )
      this.#sql.run('INSERT INTO nonces (nonce, seen_ms) VALUES (?, ?)', nonce, Date.now())
    }
    return [{ id, statements }, ...(epoch ? [epoch] : [])]
      .map(({ id, statements }) => ({ id, text: canonicalize(statements) }))
      .filter(
        ({ id, text }) =>
          this.#sql.run(
            'INSERT OR IGNORE INTO sessions (id, statements, document) VALUES (?, ?, ?)',
            id,
            text,
            document,
          ).changes === 1,
      )
  }

  /** Forgets an open session to which nothing was revealed. */
  #drop(id: string): void {
    this.#sql.run('DELETE FROM sessions WHERE id = ?', id)
  }

  /** Forgets nonces that no acceptable envelope can carry any more. */
  pruneNonces(): void {
    this.#sql.run('DELETE FROM nonces WHERE seen_ms < ?', Date.now() - NONCE_LIFETIME_MS)
  }

  #checkpoint(boot: Boot): CheckpointIntent {
    const size = this.#size()
    const nodes = nodesOf(this.#sql, this.#log)
    const now = stateOf(this.#sql)
    const [top, state] = [root(nodes, size), digestOf(now)]
    const counter = raiseCounter(this.#sql)
    const before = getMeta<string>(this.#sql, 'checkpoint.state')
    if (before !== undefined) setMeta(this.#sql, 'checkpoint.before', before)
    setMeta(this.#sql, 'checkpoint.state', JSON.stringify(now))
    setHead(this.#sql, {
      origin: boot.origin,
      root: top.toString('hex'),
      size,
      state: state.toString('hex'),
    })
    const body = checkpointBody({
      ...boot,
      size,
      root: Uint8Array.from(top),
      state: Uint8Array.from(state),
      counter,
      utcMs: this.#now(),
    })
    const proofs = unproven(this.#sql, this.#log).map(({ idx, leaf, session, document }) => ({
      session,
      leaf,
      document,
      index: idx,
      path: inclusionPath(nodes, idx, size).map((node) => node.toString('base64url')),
    }))
    return { body, size, proofs }
  }

  /** This machine's clock, held back from falling behind what this log has said already. */
  #now(said = 0): number {
    const now = Math.max(Date.now(), said, getMeta<number>(this.#sql, 'checkpoint.time') ?? 0)
    setMeta(this.#sql, 'checkpoint.time', now)
    return now
  }

  /** Whether leaves of this boot wait for their receipts. */
  unproven(): boolean {
    return unproven(this.#sql, this.#log).length > 0
  }

  /** Writes the leaf of one session or epoch, once: what is not open is refused. */
  #close(closing: Closing, origin: string): string | undefined {
    const { leaf, document, reading } = close(this.#sql, this.#cache, closing, origin)
    this.#now(leaf.statements.at(-1)!.utc_ms)
    this.#append(leaf, { id: closing.session, document })
    return reading
  }

  #size(): number {
    return this.#sql.get<{ size: number }>('SELECT size FROM logs WHERE id = ?', this.#log)!.size
  }

  /** Leaves that are no session's need no receipt. */
  #append(leaf: Leaf, of: { id?: string; document?: string | undefined } = {}): void {
    const index = this.#size()
    const text = canonicalize(leaf)
    append(nodesOf(this.#sql, this.#log), index, Buffer.from(text))
    this.#sql.run(
      'INSERT INTO leaves (log, idx, leaf, session, document, closed_ms) VALUES (?, ?, ?, ?, ?, ?)',
      this.#log,
      index,
      text,
      of.id ?? null,
      of.document ?? null,
      Date.now(),
    )
    this.#sql.run('UPDATE logs SET size = ? WHERE id = ?', index + 1, this.#log)
  }

  /** Keeps a checkpoint, and so the receipts under it; one that is lost in a power cut is made again. */
  keepCheckpoint(checkpoint: Kept): void {
    keepCheckpoint(this.#sql, this.#log, checkpoint)
  }

  /** Whether a session ended here so long ago that what its receipt is made of is gone. */
  pruned(session: string): boolean {
    return this.#sql.get('SELECT 1 FROM pruned WHERE session = ?', session) !== undefined
  }

  /** Deletes the texts of up to `limit` old leaves, and of old documents; whether there may be more. */
  prune(of: Pruning): Pruned {
    return prune(this.#sql, of, this.#log)
  }

  keepDocument(document: { digest: string; document: string }): void {
    this.#sql.run(
      'INSERT OR REPLACE INTO documents (digest, document, kept_ms) VALUES (?, ?, ?)',
      document.digest,
      document.document,
      Date.now(),
    )
  }

  document(digest: string): string | undefined {
    return this.#sql.get<{ document: string }>(
      'SELECT document FROM documents WHERE digest = ?',
      digest,
    )?.document
  }
}

/** Names of the operations that a caller may ask for. */
export type OperationName = Exclude<keyof Operations, 'isolated'>
