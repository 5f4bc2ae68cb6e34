// The store without its thread, on a real file, whose k-th call or k-th SQL statement can be told to fail. A statement
// fails as on a full disk: SQLite undoes the whole transaction.
import { SealedError } from '@sealed/protocol'
import { type Answer, batchesOn, type Call } from '../store/batch.ts'
import { Operations } from '../store/operations.ts'
import { type Connection, connect } from '../store/rows.ts'
import type { Store } from '../store/store.ts'

export interface StoreFaults {
  /** Each counts down; what comes when it is zero fails. */
  statement: number
  /** The call is never made. */
  call: number
  /** The call is made, and its answer is lost. */
  answer: number
  /** Pages that the file may have, where the disk is to be full. */
  pages?: number
}
export const NO_STORE_FAULTS: StoreFaults = {
  statement: Number.POSITIVE_INFINITY,
  call: Number.POSITIVE_INFINITY,
  answer: Number.POSITIVE_INFINITY,
}

interface Pending {
  call: Call
  resolve(value: unknown): void
  reject(error: Error): void
}

export class InlineStore {
  readonly #db: Connection
  readonly #runBatch: ReturnType<typeof batchesOn>
  readonly #faults: StoreFaults
  readonly #queues: Record<'durable' | 'lazy', Pending[]> = { durable: [], lazy: [] }
  #timer: NodeJS.Immediate | undefined

  constructor(path: string, faults: StoreFaults) {
    this.#faults = faults
    this.#db = connect(path)
    this.limit(faults.pages)
    this.#runBatch = batchesOn(this.#db, new Operations(this.#failing()))
  }

  /** As what it stands in for. */
  get store(): Store {
    return this as unknown as Store
  }

  /** Pages that the file may have from now on. */
  limit(pages = 1_000_000): void {
    this.#db.pragma(`max_page_count = ${pages}`)
  }

  /** What is on disk, as nobody but a test asks for it. */
  rows<T>(sql: string): T[] {
    return this.#db.prepare(sql).all() as T[]
  }

  run = (operation: Call['operation'], argument: unknown) =>
    this.#queue('durable', { operation, argument })
  runLazy = (operation: Call['operation'], argument: unknown) =>
    this.#queue('lazy', { operation, argument })

  async close(): Promise<void> {
    while (this.#queues.durable.length + this.#queues.lazy.length > 0)
      await new Promise((resolve) => setImmediate(resolve))
    this.#db.close()
  }

  #queue(queue: 'durable' | 'lazy', call: Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#faults.call-- === 0) return reject(gone())
      this.#queues[queue].push({ call, resolve, reject })
      this.#timer ??= setImmediate(() => this.#next())
    })
  }

  #next(): void {
    this.#timer = undefined
    for (const queue of ['durable', 'lazy'] as const) {
      const batch = this.#queues[queue].splice(0)
      if (batch.length === 0) continue
      const calls = batch.map(({ call }) => call)
      const durable = queue === 'durable'
      const answers = this.#runBatch({ calls, durable })
      for (const [i, pending] of batch.entries()) this.#settle(pending, answers[i]!)
    }
  }

  #settle({ resolve, reject }: Pending, answer: Answer): void {
    if (this.#faults.answer-- === 0) reject(gone())
    else if ('code' in answer) reject(new SealedError(answer.code as 'disk.full', answer.message))
    // As data that has crossed to another thread: nobody shares it.
    else resolve(structuredClone(answer.value))
  }

  #failing(): Connection {
    const db = this.#db
    const fail = () => {
      if (this.#faults.statement-- !== 0) return
      if (db.inTransaction) db.exec('ROLLBACK')
      throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
    }
    return new Proxy(db, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        if (name !== 'prepare') return value.bind(target)
        return (sql: string) => {
          const statement = target.prepare(sql)
          const guarded =
            (method: 'run' | 'get' | 'all') =>
            (...args: unknown[]) => {
              fail()
              return statement[method](...args)
            }
          return { run: guarded('run'), get: guarded('get'), all: guarded('all') }
        }
      },
    })
  }
}

const gone = () => new SealedError('internal.error', 'the database does not answer')
