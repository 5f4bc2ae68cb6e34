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

/** A request to the envelope door whose answer has begun: admitted, and on its way to a replica or waiting for one. */
export async function beginSealed(
  url: string,
  envelope: string,
  headers: readonly string[] = [],
): Promise<Begun> {
  const client = await RawClient.open(url)
  client.request(
    [
      'POST /v1/sealed HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/vnd.sealed-request+json',
      `Content-Length: ${envelope.length}`,
      ...headers,
    ],
    envelope,
  )
  // The server’s random and the first beat have 53 bytes; the size of a chunk comes before.
  const text = await client.until(/\r\n\r\n[\s\S]{57}/)
  const id = /^sealed-receipt-id: ([0-9a-f]{32})\r$/im.exec(text)?.[1]
  if (id) return { client, id }
  client.destroy()
  throw new Error(`not admitted: ${text.slice(0, 2000)}`)
}

export interface Begun {
  client: RawClient
  /** The session's and its receipt's. */
  id: string
}

/** The chunks of a whole answer put together; undefined when it does not end as a whole one does. */
export function chunkedBody(text: string): Uint8Array | undefined {
  let rest = text.slice(text.indexOf('\r\n\r\n') + 4)
  const parts: Buffer[] = []
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/i.exec(rest)
    const length = Number.parseInt(size?.[1] ?? '', 16)
    const at = size?.[0].length ?? 0
    if (!size || rest.length < at + length + 2) return undefined
    if (length === 0) return new Uint8Array(Buffer.concat(parts))
    parts.push(Buffer.from(rest.slice(at, at + length), 'latin1'))
    rest = rest.slice(at + length + 2)
  }
}
