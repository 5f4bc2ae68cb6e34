// HTTP to one process of this machine over its Unix socket. Nothing here ends a silent answer by a timeout: the
// deadlines of a session are the embassy's. A request whose signal is aborted is given up at once, its socket closed.
import type { Readable } from 'node:stream'
import { type Bytes, concat } from '@sealed/protocol'
import { Pool } from 'undici'

/** Bound of an answer's header: a receipt of 16 KB fits several times. */
const MAX_HEADER_BYTES = 128 * 1024

export interface UnixRequest {
  method: 'GET' | 'POST'
  path: string
  headers?: Record<string, string>
  body?: Uint8Array
  signal?: AbortSignal
}

export interface UnixAnswer {
  status: number
  /** A header's one value; undefined when it is absent or came more than once. */
  header(name: string): string | undefined
  has(name: string): boolean
  body: Readable
}

/** The other process did not answer, or stopped before the end of its answer. */
export class UnixFailure extends Error {
  /** True when no byte of the request can have reached it. */
  readonly unsent: boolean

  constructor(message: string, unsent: boolean, cause: unknown) {
    super(message, { cause })
    this.name = 'UnixFailure'
    this.unsent = unsent
  }
}

export class UnixClient {
  readonly #pool: Pool

  constructor(socketPath: string) {
    this.#pool = new Pool('http://localhost', {
      socketPath,
      connections: null,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: 5_000,
      maxHeaderSize: MAX_HEADER_BYTES,
    })
  }

  /** Resolves at the answer's head. Throws `UnixFailure`, or the signal's reason. */
  async request(request: UnixRequest): Promise<UnixAnswer> {
    const { method, path, headers = {}, body, signal } = request
    try {
      const answer = await this.#pool.request({
        method,
        path,
        headers,
        ...(body !== undefined && { body }),
        ...(signal && { signal }),
      })
      // A body that dies before anyone reads it must not end the process.
      answer.body.on('error', () => {})
      return {
        status: answer.statusCode,
        header: (name) => {
          const value = answer.headers[name]
          return typeof value === 'string' ? value : undefined
        },
        has: (name) => answer.headers[name] !== undefined,
        body: answer.body,
      }
    } catch (cause) {
      signal?.throwIfAborted()
      throw new UnixFailure('a process of this machine does not answer', isUnsent(cause), cause)
    }
  }

  /** Ends every connection; requests under way fail. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** Reads a body of at most `max` bytes. Throws `UnixFailure` when it is larger or breaks off. */
export async function readAll(body: Readable, max: number, signal?: AbortSignal): Promise<Bytes> {
  const parts: Uint8Array[] = []
  let length = 0
  try {
    for await (const part of body as AsyncIterable<Uint8Array>) {
      length += part.length
      if (length > max) throw new Error(`more than ${max} bytes`)
      parts.push(part)
    }
  } catch (cause) {
    signal?.throwIfAborted()
    throw new UnixFailure('a process of this machine broke off its answer', false, cause)
  }
  return concat(...parts)
}

function isUnsent(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  return syscall === 'connect' || code === 'UND_ERR_CONNECT_TIMEOUT'
}
