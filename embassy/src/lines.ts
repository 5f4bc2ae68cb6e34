// Values of JSON over a socket, one a line. What is no JSON, or longer than anything that is said here, ends the socket.
import type { Socket } from 'node:net'

const MAX_LINE_CHARS = 256 * 1024

export class Lines {
  readonly #socket: Socket
  readonly #onLine: (value: unknown) => void
  #rest = ''

  constructor(socket: Socket, onLine: (value: unknown) => void) {
    this.#socket = socket
    this.#onLine = onLine
    socket.setEncoding('utf8').on('data', (chunk: Buffer | string) => this.#read(String(chunk)))
  }

  write(value: unknown): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(value)}\n`)
  }

  #read(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop()!
    if (this.#rest.length > MAX_LINE_CHARS) this.#socket.destroy()
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
