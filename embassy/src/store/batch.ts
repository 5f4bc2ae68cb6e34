// One batch of operations in one transaction: each answered by itself, and all undone where the disk fails.
import { SealedError } from '@sealed/protocol'
import type { OperationName, Operations } from './operations.ts'
import type { Connection } from './rows.ts'

export interface Call {
  operation: OperationName
  argument: unknown
}
export interface Failure {
  code: string
  message: string
}
export type Answer = { value: unknown } | Failure
export interface Batch {
  calls: Call[]
  /** Whether the batch must be on disk before it is answered. */
  durable: boolean
}

/** Runs batches on a connection as `connect` gives it. Never throws: what fails is said in the answers. */
export function batchesOn(db: Connection, operations: Operations): (batch: Batch) => Answer[] {
  let wasDurable = true
  const answer = ({ operation, argument }: Call): Answer => {
    try {
      const run = operations[operation] as (argument: unknown) => unknown
      return { value: operations.isolated(() => run.call(operations, argument)) }
    } catch (error) {
      // SQLite itself undid the whole batch: what follows must not be a batch of its own.
      if (!db.inTransaction) throw error
      return failure(error)
    }
  }
  return ({ calls, durable }) => {
    try {
      if (durable !== wasDurable) db.pragma(`synchronous = ${durable ? 'FULL' : 'NORMAL'}`)
      wasDurable = durable
      return operations.isolated(() => calls.map(answer))
    } catch (error) {
      // The commit itself failed (disk full, I/O error): nothing of the batch holds.
      return calls.map(() => failure(error))
    }
  }
}

export function failure(error: unknown): Failure {
  if (error instanceof SealedError) return { code: error.code, message: error.message }
  const full = (error as { code?: string }).code === 'SQLITE_FULL'
  if (full)
    return { code: 'disk.full', message: 'the disk is full: free space in the state directory' }
  return { code: 'internal.error', message: `the database failed: ${(error as Error).message}` }
}
