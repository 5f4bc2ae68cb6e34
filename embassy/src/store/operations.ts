// What the store's thread can do: each operation takes plain data, runs inside the batch's transaction and returns
// plain data. A failing operation undoes itself alone.
import { createHmac, hash } from 'node:crypto'
import {
  type Action,
  canonicalize,
  checkpointBody,
  type Leaf,
  SealedError,
  type Statement,
  type StatementType,
} from '@sealed/protocol'
import { append, inclusionPath, root } from '../ledger/tree.ts'
import {
  checkRegistry,
  cover,
  type Observation,
  read,
  registryVersion,
  SignatureCache,
  stateDigest,
  update,
  write,
} from './registry-rows.ts'
import { type Connection, getMeta, nodesOf, Statements, setMeta } from './rows.ts'

/** A statement without the members that numbering and clock add. */
export type Draft = Record<string, unknown> & { type: StatementType }

/** How a session ends, as the store needs to know it. */
export interface Closing {
  session: string
  /** Statements made so far, numbered and stamped. */
  statements: Statement[]
  end:
    | {
        kind: 'commit'
        action: Exclude<Action, { type: 'read' }>
        /** Full id of the capability written. */
        capability?: string
        attribution: string
        observation?: Observation
        /** What follows `registry.applied`. */
        after: Draft[]
        outputBytes: number
      }
    | { kind: 'read'; authority: string; salt: Uint8Array }
    | { kind: 'abort'; abort: Draft }
  egressOpenMs: number
}

export interface Boot {
  origin: string
  akName: string
  resetCount: number
  restartCount: number
}

export type Closed =
  | { statements: Statement[]; index: number; path: string[]; reading?: string }
  | { error: { code: string; message: string } }

export interface ClosedBatch {
  body: string
  counter: bigint
  closed: Closed[]
}

export const stamp = () => ({
  mono_us: String(process.hrtime.bigint() / 1000n),
  utc_ms: Date.now(),
})

/** Numbers and stamps drafts after the statements that stand already. */
export function extend(statements: readonly Statement[], drafts: readonly Draft[]): Statement[] {
  const out = [...statements]
  for (const draft of drafts)
    out.push({ ...draft, ...stamp(), seq: out.length } as unknown as Statement)
  return out
}

const NONCE_LIFETIME_MS = 15 * 60_000

export class Operations {
  readonly #db: Connection
  readonly #sql: Statements
  readonly #cache = new SignatureCache()
  #log = 0

  constructor(db: Connection) {
    this.#db = db
    this.#sql = new Statements(db)
  }

  /** Runs `body` so that its failure undoes it and nothing else. */
  isolated<T>(body: () => T): T {
    return this.#db.transaction(body)()
  }

  /** Sets the log of this boot; a new one starts with a leaf that names where the previous one ended. */
  openLog(boot: { origin: string; keySet: string }): { counter: bigint | undefined } {
    checkRegistry(this.#sql)
    const known = this.#sql.get<{ id: number }>('SELECT id FROM logs WHERE origin = ?', boot.origin)
    const previous = this.#sql.get<{ origin: string; size: number; note: string | null }>(
      'SELECT origin, size, note FROM logs ORDER BY id DESC LIMIT 1',
    )
    const state = getMeta<string>(this.#sql, 'checkpoint.state')
    const counter = getMeta<string>(this.#sql, 'checkpoint.counter')
    if (state !== undefined && state !== stateDigest(this.#sql).toString('hex'))
      throw new SealedError(
        'state.rollback',
        'meters or registry are not those of the last checkpoint: restore the database that belongs to this machine',
      )
    if (known) this.#log = known.id
    else {
      this.#log = Number(
        this.#sql.run('INSERT INTO logs (origin, size) VALUES (?, 0)', boot.origin).lastInsertRowid,
      )
      cover(this.#sql, { boots: 1 })
      const leaf: Leaf = {
        key_set: boot.keySet,
        kind: 'boot',
        ...(previous?.note && {
          previous: {
            checkpoint_digest: hash('sha256', previous.note),
            origin: previous.origin,
            size: previous.size,
          },
        }),
        started_ms: Date.now(),
        version: 1,
      }
      this.#append(leaf)
      setMeta(this.#sql, 'checkpoint.state', stateDigest(this.#sql).toString('hex'))
    }
    return { counter: counter === undefined ? undefined : BigInt(counter) }
  }

  /** Notes, before the TPM's counter exists, that this database is about to make it. */
  intendCounter(): void {
    setMeta(this.#sql, 'counter.intended', 1)
  }

  counterIntended(): boolean {
    return getMeta(this.#sql, 'counter.intended') !== undefined
  }

  setCounter(value: bigint): void {
    setMeta(this.#sql, 'checkpoint.counter', String(value))
  }

  /** Sessions that were open when the embassy stopped. */
  openSessions(): { id: string; statements: Statement[]; document: string }[] {
    const rows = this.#sql.all<{ id: string; statements: string; document: string }>(
      'SELECT * FROM sessions',
    )
    return rows.map((row) => ({ ...row, statements: JSON.parse(row.statements) as Statement[] }))
  }

  nonceSeen(nonce: string): boolean {
    return this.#sql.get('SELECT 1 FROM nonces WHERE nonce = ?', nonce) !== undefined
  }

  /** Durable point A: nonce and opening statements, before any key leaves. Throws `envelope.replayed`. */
  openSession(session: {
    id: string
    nonce?: string
    statements: Statement[]
    document: string
  }): void {
    if (session.nonce !== undefined) {
      if (this.nonceSeen(session.nonce))
        throw new SealedError(
          'envelope.replayed',
          'this nonce was used before: make a new envelope',
        )
      this.#sql.run('INSERT INTO nonces (nonce, seen_ms) VALUES (?, ?)', session.nonce, Date.now())
    }
    this.#sql.run(
      'INSERT INTO sessions (id, statements, document) VALUES (?, ?, ?)',
      session.id,
      canonicalize(session.statements),
      session.document,
    )
  }

  /** Forgets an open session to which nothing was revealed. */
  dropSession(id: string): void {
    this.#sql.run('DELETE FROM sessions WHERE id = ?', id)
  }

  /** Forgets nonces that no acceptable envelope can carry any more. */
  pruneNonces(): void {
    this.#sql.run('DELETE FROM nonces WHERE seen_ms < ?', Date.now() - NONCE_LIFETIME_MS)
  }

  /** Durable point B for every session that finished meanwhile: registry, meters, leaves and one checkpoint intent. */
  closeSessions(batch: { closings: Closing[]; boot: Boot }): ClosedBatch {
    const leaves = batch.closings.map((closing) => {
      try {
        return this.isolated(() => this.#close(closing, batch.boot.origin))
      } catch (error) {
        if (error instanceof SealedError)
          return { error: { code: error.code, message: error.message } }
        throw error
      }
    })
    const size = this.#size()
    const nodes = nodesOf(this.#sql, this.#log)
    const state = stateDigest(this.#sql)
    const counter = BigInt(getMeta<string>(this.#sql, 'checkpoint.counter') ?? 0) + 1n
    setMeta(this.#sql, 'checkpoint.state', state.toString('hex'))
    setMeta(this.#sql, 'checkpoint.counter', String(counter))
    const { origin, akName, resetCount, restartCount } = batch.boot
    const treeRoot = Uint8Array.from(root(nodes, size))
    const body = checkpointBody({
      origin,
      size,
      root: treeRoot,
      state: Uint8Array.from(state),
      counter,
      utcMs: Date.now(),
      akName,
      resetCount,
      restartCount,
    })
    const closed = leaves.map((leaf): Closed => {
      if ('error' in leaf) return leaf
      const path = inclusionPath(nodes, leaf.index, size).map((node) => node.toString('base64url'))
      return { ...leaf, path }
    })
    return { body, counter, closed }
  }

  #close({ session, statements, end, egressOpenMs }: Closing, origin: string) {
    let drafts: Draft[]
    let reading: string | undefined
    if (end.kind === 'abort') drafts = [end.abort]
    else if (end.kind === 'read') {
      reading = canonicalize(read(this.#sql, end.authority, origin))
      const digest = createHmac('sha256', end.salt)
        .update(hash('sha256', reading, 'buffer'))
        .digest('hex')
      drafts = [
        {
          type: 'registry.read',
          authority: end.authority,
          reading_digest: digest,
          registry_version: registryVersion(this.#sql),
        },
        { type: 'response.released', to: 'gateway' },
      ]
    } else drafts = [this.#apply(session, end), ...end.after]
    cover(this.#sql, {
      sessions: end.kind === 'read' ? 0 : 1,
      sessions_unmetered:
        end.kind === 'abort' || (end.kind === 'commit' && !end.observation) ? 1 : 0,
      output_bytes_unmetered: end.kind === 'commit' && !end.observation ? end.outputBytes : 0,
      egress_open_ms: egressOpenMs,
    })
    const whole = extend(statements, drafts)
    const index = this.#append({ kind: 'session', session, statements: whole, version: 1 })
    this.#sql.run('DELETE FROM sessions WHERE id = ?', session)
    return { statements: whole, index, ...(reading !== undefined && { reading }) }
  }

  #apply(session: string, end: Extract<Closing['end'], { kind: 'commit' }>): Draft {
    let changes: string[] = []
    if (end.observation && end.action.type === 'write')
      write(this.#sql, end.capability!, end.action.polarity, end.observation)
    else if (end.observation) changes = update(this.#sql, this.#cache, session, end.observation)
    return {
      type: 'registry.applied',
      attribution: end.attribution,
      changes,
      metered: end.observation !== undefined,
      operation: end.action.type,
      registry_version: registryVersion(this.#sql),
    }
  }

  #size(): number {
    return this.#sql.get<{ size: number }>('SELECT size FROM logs WHERE id = ?', this.#log)!.size
  }

  #append(leaf: Leaf): number {
    const index = this.#size()
    const text = canonicalize(leaf)
    append(nodesOf(this.#sql, this.#log), index, Buffer.from(text))
    this.#sql.run('INSERT INTO leaves (log, idx, leaf) VALUES (?, ?, ?)', this.#log, index, text)
    this.#sql.run('UPDATE logs SET size = ? WHERE id = ?', index + 1, this.#log)
    return index
  }

  /** Keeps receipts and the checkpoint they share; what is lost of them in a power cut can be made again. */
  keepReceipts(batch: { note: string; receipts: { session: string; receipt: string }[] }): void {
    this.#sql.run('UPDATE logs SET note = ? WHERE id = ?', batch.note, this.#log)
    for (const { session, receipt } of batch.receipts)
      this.#sql.run(
        'INSERT OR REPLACE INTO receipts (session, receipt) VALUES (?, ?)',
        session,
        receipt,
      )
  }

  receipt(session: string): string | undefined {
    return this.#sql.get<{ receipt: string }>(
      'SELECT receipt FROM receipts WHERE session = ?',
      session,
    )?.receipt
  }

  keepDocument(document: { digest: string; document: string }): void {
    this.#sql.run(
      'INSERT OR REPLACE INTO documents (digest, document) VALUES (?, ?)',
      document.digest,
      document.document,
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
