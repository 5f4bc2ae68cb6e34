// An answer on its way to the gateway, as fast as it is read there. What comes faster is kept, up to the bound that the
// workload's output has, so that a slow reader holds up nobody's replica; one that does not read at all is cut off.
import { encodeRelayFrames, type OutFrame, SealedError } from '@sealed/protocol'

const SLOW_READER_MS = 120_000

/** Of a socket, what is used here. */
export interface Sink {
  /** What was written, and how much of it was not taken yet. */
  readonly bytesWritten: number
  readonly writableLength: number
  readonly destroyed: boolean
  write(bytes: Uint8Array): unknown
  destroy(): unknown
}

export class Outgoing {
  readonly #sink: Sink
  readonly #slowMs: number
  readonly #gone = new AbortController()
  #slow: NodeJS.Timeout | undefined
  #ended = false

  constructor(sink: Sink, slowMs = SLOW_READER_MS) {
    this.#sink = sink
    this.#slowMs = slowMs
  }

  /** Aborted when the reader leaves, or is cut off, before the end was sent. */
  get signal(): AbortSignal {
    return this.#gone.signal
  }

  /** Whether everything sent so far was taken. */
  get drained(): boolean {
    return this.#sink.writableLength === 0
  }

  send(...frames: OutFrame[]): void {
    if (this.#ended || this.#sink.destroyed) return
    this.#sink.write(encodeRelayFrames(...frames))
    if (!this.drained) this.#slow ??= this.#expectProgress()
  }

  /** Sends the last there is. */
  end(...frames: OutFrame[]): void {
    this.send(...frames)
    this.#ended = true
  }

  /** The connection is closed. */
  left(): void {
    clearTimeout(this.#slow)
    if (!this.#ended) this.#gone.abort(new SealedError('session.aborted', 'the client left'))
  }

  #expectProgress(): NodeJS.Timeout {
    const before = this.#taken
    return setTimeout(() => {
      this.#slow = undefined
      if (this.drained) return
      if (this.#taken > before) this.#slow = this.#expectProgress()
      else this.#sink.destroy()
    }, this.#slowMs).unref()
  }

  get #taken(): number {
    return this.#sink.bytesWritten - this.#sink.writableLength
  }
}
