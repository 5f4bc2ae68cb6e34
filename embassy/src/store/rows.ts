// Small helpers over one better-sqlite3 connection, used only on the store's thread.
import { SealedError } from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import type { NodeStore } from '../ledger/tree.ts'
import { ACCOUNTS, APPLICATION_ID, SCHEMA, SCHEMA_VERSION } from './schema.ts'

export type Connection = Sqlite.Database

/**
 * Opens or makes the database: WAL, every commit on disk before it is answered, foreign writers refused. Throws
 * `config.invalid` for a file that is another program's or another version's, or that somebody else holds.
 */
export function connect(path: string): Connection {
  const db = new Sqlite(path)
  try {
    db.pragma('locking_mode = EXCLUSIVE')
    refuseOther(db, path)
    // A step touches a few bytes of some fifteen pages, and each is copied and summed up whole.
    db.pragma('page_size = 2048')
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('wal_autocheckpoint = 1000')
    // What undoes one failed operation of a batch needs no file, and none but the database may hold what is in it.
    db.pragma('temp_store = MEMORY')
    if (isEmpty(db))
      db.transaction(() => {
        db.exec(SCHEMA)
        db.pragma(`application_id = ${APPLICATION_ID}`)
        db.pragma(`user_version = ${SCHEMA_VERSION}`)
      })()
    db.exec(ACCOUNTS)
    return db
  } catch (error) {
    db.close()
    throw said(error, path)
  }
}

const isEmpty = (db: Connection): boolean =>
  db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined

function refuseOther(db: Connection, path: string): void {
  const [application, version] = ['application_id', 'user_version'].map((name) =>
    db.pragma(name, { simple: true }),
  )
  if (application === APPLICATION_ID && version === SCHEMA_VERSION) return
  if (application === 0 && version === 0 && isEmpty(db)) return
  if (application !== APPLICATION_ID)
    throw new SealedError(
      'config.invalid',
      `${path} is the database of another program: name another state_dir`,
    )
  throw new SealedError(
    'config.invalid',
    `${path} has layout ${version}, this embassy works with ${SCHEMA_VERSION}: run the version that wrote it`,
  )
}

/** What SQLite says of a file that it cannot use, in our words. */
function said(error: unknown, path: string): unknown {
  const { code = '' } = error as { code?: string }
  if (code === 'SQLITE_NOTADB')
    return new SealedError('config.invalid', `${path} is no database: name another state_dir`)
  if (code === 'SQLITE_BUSY')
    return new SealedError('config.invalid', `${path} is in use: another embassy runs on it`)
  return error
}

/** Prepared once per connection and text. */
export class Statements {
  readonly #db: Connection
  readonly #prepared = new Map<string, Sqlite.Statement>()
  /** What the table `meta` holds, as far as it was read or set: nobody else writes it. */
  readonly meta = new Map<string, unknown>()
  /** What was set of it and is not in the table yet. */
  readonly unwritten = new Set<string>()

  constructor(db: Connection) {
    this.#db = db
  }

  #prepare(sql: string): Sqlite.Statement {
    let statement = this.#prepared.get(sql)
    if (!statement) {
      statement = this.#db.prepare(sql)
      this.#prepared.set(sql, statement)
    }
    return statement
  }

  /** Writes what was set of `meta`, all in one. */
  writeMeta(): void {
    const keys = [...this.unwritten]
    if (keys.length === 0) return
    const rows = keys.map(() => '(?, ?)').join(', ')
    const values = keys.flatMap((key) => [key, this.meta.get(key)])
    this.run(`INSERT OR REPLACE INTO meta (key, value) VALUES ${rows}`, ...values)
    this.unwritten.clear()
  }

  /** Where what was read and written since may not hold any more. */
  forgetMeta(): void {
    this.meta.clear()
    this.unwritten.clear()
  }

  run(sql: string, ...args: unknown[]): Sqlite.RunResult {
    return this.#prepare(sql).run(...args)
  }

  get<T>(sql: string, ...args: unknown[]): T | undefined {
    return this.#prepare(sql).get(...args) as T | undefined
  }

  all<T>(sql: string, ...args: unknown[]): T[] {
    return this.#prepare(sql).all(...args) as T[]
  }
}

export function getMeta<T>(sql: Statements, key: string): T | undefined {
  const { meta } = sql
  if (!meta.has(key))
    meta.set(key, sql.get<{ value: T }>('SELECT value FROM meta WHERE key = ?', key)?.value)
  return meta.get(key) as T | undefined
}

/** Is in the table when the operation ends. */
export function setMeta(sql: Statements, key: string, value: unknown): void {
  if (sql.meta.get(key) === value) return
  sql.meta.set(key, value)
  sql.unwritten.add(key)
}

export function removeMeta(sql: Statements, ...keys: string[]): void {
  for (const key of keys) {
    sql.run('DELETE FROM meta WHERE key = ?', key)
    sql.meta.delete(key)
    sql.unwritten.delete(key)
  }
}

/** The hashes of one log's complete subtrees. */
export function nodesOf(sql: Statements, log: number): NodeStore {
  return {
    get(level, index) {
      const row = sql.get<{ hash: Buffer }>(
        'SELECT hash FROM nodes WHERE log = ? AND level = ? AND idx = ?',
        log,
        level,
        index,
      )
      if (!row)
        throw new SealedError(
          'log.damaged',
          `log ${log}: node ${level}/${index} is missing on disk`,
        )
      return row.hash
    },
    put(level, index, hash) {
      sql.run(
        'INSERT INTO nodes (log, level, idx, hash) VALUES (?, ?, ?, ?)',
        log,
        level,
        index,
        hash,
      )
    },
  }
}
