// One answer of a workload as undici hands it over, piece by piece and with nothing between: a stream's buffer and its
// promises were a sixth of what the relay spent on each event of an answer.
import { createHash } from 'node:crypto'
import { SealedError } from '@sealed/protocol'
import type { Dispatcher } from 'undici'

export interface WorkloadHead {
  status: number
  contentType: string
}
export interface WorkloadAnswer extends WorkloadHead {
  /** Empty where its pieces were taken as they came. */
  body: Uint8Array
  bytes: number
  /** Of all bytes that were read from the workload's socket. */
  sha256: Uint8Array
}

/** Shown an answer's head; what it returns takes the body's pieces as they come. */
export type Taker = (head: WorkloadHead) => ((bytes: Uint8Array) => void) | undefined

/** What it throws ends the request, and is what `answer` rejects with. */
export class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #maxBytes: number
  readonly #taker: Taker | undefined
  readonly #answer = Promise.withResolvers<WorkloadAnswer>()
  readonly #hash = createHash('sha256')
  readonly #kept: Buffer[] = []
  #bytes = 0
  #head: WorkloadHead | undefined
  #take: ((bytes: Uint8Array) => void) | undefined
  #controller: Dispatcher.DispatchController | undefined
  #ended: Error | undefined

  constructor(maxBytes: number, taker: Taker | undefined) {
    this.#maxBytes = maxBytes
    this.#taker = taker
  }

  get answer(): Promise<WorkloadAnswer> {
    return this.#answer.promise
  }

  /** Ends the request, even one that has no connection yet. */
  abort(reason: Error): void {
    this.#ended = reason
    this.#answer.reject(reason)
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ended) controller.abort(this.#ended)
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    const isInterim = status < 200
    if (isInterim) return
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity')
      throw new SealedError(
        'workload.failed',
        'the workload compressed its answer although it was asked not to',
      )
    const type = headers['content-type']
    this.#head = {
      status,
      contentType: typeof type === 'string' ? type.slice(0, 256) : 'application/octet-stream',
    }
    this.#take = this.#taker?.(this.#head)
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes)
      throw new SealedError(
        'workload.too_large',
        `the workload's answer is over ${this.#maxBytes} bytes`,
      )
    this.#hash.update(chunk)
    if (this.#take) this.#take(chunk)
    else this.#kept.push(chunk)
  }

  onResponseEnd(): void {
    this.#answer.resolve({
      ...this.#head!,
      body: new Uint8Array(Buffer.concat(this.#kept)),
      bytes: this.#bytes,
      sha256: new Uint8Array(this.#hash.digest()),
    })
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#answer.reject(error)
  }
}
