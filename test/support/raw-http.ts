// HTTP as bytes on a socket: for requests that no well-behaved client would send, and for clients that leave or stop
// reading when it suits them.
import { connect, type Socket } from 'node:net'

const DEADLINE_MS = 60_000

export class RawClient {
  readonly #socket: Socket
  #text = ''
  #closed = false
  #changed: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      this.#text += chunk
      this.#changed()
    })
    // Being cut off is an answer here; what was received before is looked at.
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#closed = true
      this.#changed()
    })
  }

  static async open(url: string): Promise<RawClient> {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port) })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** Everything received so far, one character a byte. */
  get received(): string {
    return this.#text
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Lines are joined by CRLF; `body` follows the empty line. */
  request(lines: readonly string[], body: string | Uint8Array = ''): void {
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
    if (body.length > 0) this.#socket.write(body)
  }

  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Resolves once what was received matches, or the connection has ended; rejects when neither happens. */
  async until(pattern: RegExp): Promise<string> {
    await this.#wait(`${pattern}`, () => pattern.test(this.#text) || this.#closed)
    return this.#text
  }

  /** Resolves with everything once the other side has closed. */
  async ended(): Promise<string> {
    await this.#wait('the end of the connection', () => this.#closed)
    return this.#text
  }

  /** From here on the kernel's buffers fill up. */
  stopReading(): void {
    this.#socket.pause()
  }

  readOn(): void {
    this.#socket.resume()
  }

  /** Gone without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  #wait(what: string, done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new Error(`${what}: not within ${DEADLINE_MS} ms; got ${this.#text.slice(-500)}`)),
        DEADLINE_MS,
      )
      this.#changed = () => {
        if (!done()) return
        clearTimeout(timer)
        this.#changed = () => {}
        resolve()
      }
      this.#changed()
    })
  }
}

/** Status and error code of the first answer in some bytes. */
export function firstAnswer(text: string): { status: number; code: string | undefined } {
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0)
  return { status, code: /"code":"([a-z_.]+)"/.exec(text)?.[1] }
}

/** How many answers are in some bytes. */
export const answersIn = (text: string): number => text.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0
