// The store's thread: takes batches of operations, runs each in one transaction (one fsync).
import { parentPort, workerData } from 'node:worker_threads'
import { type Batch, type Failure, failure, runBatch } from './batch.ts'
import { Operations } from './operations.ts'
import { type Connection, connect } from './rows.ts'

/** Said once, in place of answers, when the database cannot be opened. */
export interface Refused {
  refused: Failure
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
  port.postMessage(runBatch(db, operations, { calls, durable }))
})
