// The store's thread: takes batches of operations, runs each batch in one transaction (one fsync), answers each.
import { parentPort, workerData } from 'node:worker_threads'
import { SealedError } from '@sealed/protocol'
import { type OperationName, Operations } from './operations.ts'
import { type Connection, connect } from './rows.ts'

export interface Call {
  operation: OperationName
  argument: unknown
}
export interface Failure {
  code: string
  message: string
}
export type Answer = { value: unknown } | Failure
/** Said once, in place of answers, when the database cannot be opened. */
export interface Refused {
  refused: Failure
}
export interface Batch {
  calls: Call[]
  /** Whether the batch must be on disk before it is answered. */
  durable: boolean
}

const port = parentPort!
const { path } = workerData as { path: string }
const db = open()
const operations = new Operations(db)

/** An error's code does not cross the thread's end, a message does. */
function open(): Connection {
  try {
    return connect(path)
  } catch (error) {
    const refused: Refused = { refused: failure(error) }
    port.postMessage(refused)
    throw error
  }
}

port.on('message', ({ calls, durable }: Batch | { calls: null; durable: false }) => {
  if (calls === null) {
    db.close()
    port.close()
    return
  }
  let answers: Answer[]
  try {
    db.pragma(`synchronous = ${durable ? 'FULL' : 'NORMAL'}`)
    answers = operations.isolated(() => calls.map(answer))
  } catch (error) {
    // The commit itself failed (disk full, I/O error): nothing of the batch holds.
    answers = calls.map(() => failure(error))
  }
  port.postMessage(answers)
})

function answer({ operation, argument }: Call): Answer {
  try {
    const run = operations[operation] as (argument: unknown) => unknown
    return { value: operations.isolated(() => run.call(operations, argument)) }
  } catch (error) {
    // SQLite itself undid the whole batch: what follows must not be a batch of its own.
    if (!db.inTransaction) throw error
    return failure(error)
  }
}

function failure(error: unknown): Failure {
  if (error instanceof SealedError) return { code: error.code, message: error.message }
  const full = (error as { code?: string }).code === 'SQLITE_FULL'
  if (full)
    return { code: 'disk.full', message: 'the disk is full: free space in the state directory' }
  return { code: 'internal.error', message: `the database failed: ${(error as Error).message}` }
}
