// Values of JSON over a socket, one a line. What is no JSON, or longer than the other side may say, ends the socket.
import type { Socket } from 'node:net'

export class Lines {
  readonly #socket: Socket
  readonly #maxChars: number
  readonly #onLine: (value: unknown) => void
  #rest = ''

  /** `maxChars` is the longest line that is read. */
  constructor(socket: Socket, maxChars: number, onLine: (value: unknown) => void) {
    this.#socket = socket
    this.#maxChars = maxChars
    this.#onLine = onLine
    socket.setEncoding('utf8').on('data', (chunk: Buffer | string) => this.#read(String(chunk)))
  }

  write(value: unknown): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(value)}\n`)
  }

  #read(chunk: string): void {
    // A long line comes in many pieces: none of them is looked through twice.
    const [first, ...more] = chunk.split('\n')
    const lines = [this.#rest + first!, ...more]
    this.#rest = lines.pop()!
    if (this.#rest.length > this.#maxChars) this.#socket.destroy()
    for (const line of lines) {
      const value = parse(line)
      if (value === undefined) this.#socket.destroy()
      if (this.#socket.destroyed) return
      this.#onLine(value)
    }
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
