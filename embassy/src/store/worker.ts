// The store's thread: takes batches of operations, runs each batch in one transaction (one fsync), answers each.
import { parentPort, workerData } from 'node:worker_threads'
import { SealedError } from '@sealed/protocol'
import { type OperationName, Operations } from './operations.ts'
import { connect } from './rows.ts'

export interface Call {
  operation: OperationName
  argument: unknown
}
export type Answer = { value: unknown } | { code: string; message: string }
export interface Batch {
  calls: Call[]
  /** Whether the batch must be on disk before it is answered. */
  durable: boolean
}

const port = parentPort!
const db = connect((workerData as { path: string }).path)
const operations = new Operations(db)

port.on('message', ({ calls, durable }: Batch | { calls: null; durable: false }) => {
  if (calls === null) {
    db.close()
    port.close()
    return
  }
  db.pragma(`synchronous = ${durable ? 'FULL' : 'NORMAL'}`)
  let answers: Answer[]
  try {
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
    return failure(error)
  }
}

function failure(error: unknown): Answer {
  if (error instanceof SealedError) return { code: error.code, message: error.message }
  const full = (error as { code?: string }).code === 'SQLITE_FULL'
  if (full)
    return { code: 'disk.full', message: 'the disk is full: free space in the state directory' }
  return { code: 'internal.error', message: `the database failed: ${(error as Error).message}` }
}
