// Small helpers over one better-sqlite3 connection, used only on the store's thread.
import { SealedError } from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import type { NodeStore } from '../ledger/tree.ts'
import { SCHEMA } from './schema.ts'

export type Connection = Sqlite.Database

/** Opens the database: WAL, every commit on disk before it is answered, foreign writers refused. */
export function connect(path: string): Connection {
  const db = new Sqlite(path)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('locking_mode = EXCLUSIVE')
  db.pragma('wal_autocheckpoint = 1000')
  db.exec(SCHEMA)
  return db
}

/** Prepared once per connection and text. */
export class Statements {
  readonly #db: Connection
  readonly #prepared = new Map<string, Sqlite.Statement>()

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
  return sql.get<{ value: T }>('SELECT value FROM meta WHERE key = ?', key)?.value
}

export function setMeta(sql: Statements, key: string, value: unknown): void {
  sql.run('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)', key, value)
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
