// An answer on its way to the gateway, as fast as it is read there. What comes faster is kept, up to the bound that the
// workload's output has, so that a slow reader holds up nobody's replica; one that does not read at all is cut off.
import { SealedError } from '@sealed/protocol'

const SLOW_READER_MS = 120_000

export class Outgoing {
  readonly readable: ReadableStream<Uint8Array>
  readonly #gone: () => void
  readonly #slowMs: number
  readonly #queue: Uint8Array[] = []
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #wake: (() => void) | undefined
  #slow: NodeJS.Timeout | undefined
  #ended = false

  /** `gone` is called once when the reader leaves or is cut off before the end was written. */
  constructor(gone: () => void, slowMs = SLOW_READER_MS) {
    this.#gone = gone
    this.#slowMs = slowMs
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => this.#leave(),
      },
      { highWaterMark: 0 },
    )
  }

  /** Whether everything written so far was read. */
  get drained(): boolean {
    return this.#queue.length === 0
  }

  write(bytes: Uint8Array): void {
    if (this.#ended) return
    this.#queue.push(bytes)
    this.#wanted()
  }

  end(): void {
    this.#ended = true
    this.#wanted()
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    clearTimeout(this.#slow)
    this.#slow = undefined
    if (this.#queue.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    const next = this.#queue.shift()
    if (next) controller.enqueue(next)
    else controller.close()
  }

  #wanted(): void {
    const wake = this.#wake
    this.#wake = undefined
    if (wake) wake()
    else this.#slow ??= setTimeout(() => this.#cutOff(), this.#slowMs).unref()
  }

  #cutOff(): void {
    this.#controller?.error(new SealedError('session.aborted', 'the client stopped reading'))
    this.#leave()
  }

  #leave(): void {
    clearTimeout(this.#slow)
    const early = !this.#ended
    this.#ended = true
    this.#queue.length = 0
    this.#wake?.()
    if (early) this.#gone()
  }
}
