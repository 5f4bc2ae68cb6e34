// The store's thread: takes batches of operations, runs each in one transaction (one fsync), and copies the database.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { type Answer, type Batch, batchesOn, type Failure, failure } from './batch.ts'
import { Operations } from './operations.ts'
import { type Connection, connect } from './rows.ts'

/** Asks for a copy of the database as it is at the end of copying, in a file that is there and empty. */
export interface BackupOrder {
  backup: string
  /** Where the answer goes: batches go on meanwhile. */
  reply: MessagePort
}
/** Said once, in place of answers, when the database cannot be opened. */
export interface Refused {
  refused: Failure
}
const port = parentPort!
const { path } = workerData as { path: string }
const db = open()
const run = batchesOn(db, new Operations(db))

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

port.on('message', (message: Batch | BackupOrder | { calls: null; durable: false }) => {
  if ('backup' in message) {
    void backUp(message)
    return
  }
  const { calls, durable } = message
  if (calls === null) {
    db.close()
    port.close()
    return
  }
  port.postMessage(run({ calls, durable }))
})

/** Pages between which the thread looks for batches. */
const BACKUP_PAGES = 64

/** Through the connection that holds the lock; what batches write meanwhile is in the copy. */
async function backUp({ backup, reply }: BackupOrder): Promise<void> {
  let answer: Answer
  try {
    await db.backup(backup, { progress: () => BACKUP_PAGES })
    answer = { value: undefined }
  } catch (error) {
    answer = failure(error)
  }
  reply.postMessage(answer)
  reply.close()
}
