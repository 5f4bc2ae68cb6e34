// The store as the embassy's main thread sees it: calls that queue while the thread works, so that whatever waits
// shares the next transaction and its fsync.
import { once } from 'node:events'
import { MessageChannel, Worker } from 'node:worker_threads'
import { type Code, SealedError } from '@sealed/protocol'
import { programUrl } from '../programs.ts'
import type { Answer, Batch, Failure } from './batch.ts'
import type { OperationName, Operations } from './operations.ts'
import type { BackupOrder, Refused } from './worker.ts'

interface Pending {
  operation: OperationName
  argument: unknown
  resolve(value: unknown): void
  reject(error: Error): void
}
type Argument<N extends OperationName> = Parameters<Operations[N]>[0]
type Value<N extends OperationName> = ReturnType<Operations[N]>

export interface StoreEvents {
  onLost?: (error: Error) => void
  onFull?: () => void
}

export class Store {
  readonly #worker: Worker
  readonly #durable: Pending[] = []
  readonly #lazy: Pending[] = []
  #running: Pending[] | undefined
  #failed: Error | undefined
  readonly #ended: Promise<void>
  readonly #onFull: () => void

  /**
   * Opens or makes the database file at `path`; `onLost` is called when the thread ends by itself, `onFull` when a write
   * found no room.
   */
  constructor(path: string, { onLost = () => {}, onFull = () => {} }: StoreEvents = {}) {
    this.#onFull = onFull
    this.#worker = new Worker(programUrl('store/worker'), { workerData: { path } })
    this.#worker.on('message', (said: Answer[] | Refused) => {
      if ('refused' in said) this.#fail(errorOf(said.refused))
      else this.#settle(said)
    })
    this.#worker.on('error', (error) => {
      this.#fail(error)
      onLost(error)
    })
    this.#ended = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#fail(new SealedError('internal.error', 'the store has stopped'))
        resolve()
      })
    })
  }

  /** Runs an operation; the answer comes when its transaction is on disk. */
  run<N extends OperationName>(operation: N, argument: Argument<N>): Promise<Value<N>> {
    return this.#queue(this.#durable, operation, argument)
  }

  /** Runs an operation whose loss in a power cut is harmless: a read, or what can be made again. */
  runLazy<N extends OperationName>(operation: N, argument: Argument<N>): Promise<Value<N>> {
    return this.#queue(this.#lazy, operation, argument)
  }

  /** Copies the database into a file that is there and empty; operations go on meanwhile. */
  async backup(path: string): Promise<void> {
    if (this.#failed) throw this.#failed
    const { port1, port2 } = new MessageChannel()
    const order: BackupOrder = { backup: path, reply: port2 }
    this.#worker.postMessage(order, [port2])
    const ended = this.#ended.then((): [Answer] => [
      { code: 'internal.error', message: 'the store has stopped' },
    ])
    const [answer] = (await Promise.race([once(port1, 'message'), ended])) as [Answer]
    port1.close()
    if ('code' in answer) throw errorOf(answer)
  }

  /** Finishes what is queued and closes the file. */
  async close(): Promise<void> {
    while (this.#running || this.#durable.length > 0 || this.#lazy.length > 0)
      await new Promise((resolve) => setImmediate(resolve))
    this.#worker.postMessage({ calls: null, durable: false })
    await this.#ended
  }

  #queue<N extends OperationName>(
    queue: Pending[],
    operation: N,
    argument: Argument<N>,
  ): Promise<Value<N>> {
    if (this.#failed) return Promise.reject(this.#failed)
    return new Promise((resolve, reject) => {
      queue.push({ operation, argument, resolve: resolve as (value: unknown) => void, reject })
      this.#next()
    })
  }

  #next(): void {
    if (this.#running) return
    const queue = this.#durable.length > 0 ? this.#durable : this.#lazy
    if (queue.length === 0) return
    this.#running = queue.splice(0)
    const calls = this.#running.map(({ operation, argument }) => ({ operation, argument }))
    const batch: Batch = { calls, durable: queue === this.#durable }
    this.#worker.postMessage(batch)
  }

  #settle(answers: Answer[]): void {
    const settled = this.#running ?? []
    this.#running = undefined
    if (answers.some((answer) => 'code' in answer && answer.code === 'disk.full')) this.#onFull()
    for (const [i, pending] of settled.entries()) {
      const answer = answers[i]!
      if ('code' in answer) pending.reject(errorOf(answer))
      else pending.resolve(answer.value)
    }
    this.#next()
  }

  #fail(error: Error): void {
    this.#failed ??= error
    const lost = [...(this.#running ?? []), ...this.#durable.splice(0), ...this.#lazy.splice(0)]
    this.#running = undefined
    for (const pending of lost) pending.reject(error)
  }
}

const errorOf = ({ code, message }: Failure) => new SealedError(code as Code, message)
