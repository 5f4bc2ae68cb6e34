// HTTP to one process of this machine over its Unix socket. Nothing here ends a silent answer by a timeout. A request
// whose signal is aborted is given up at once, its socket closed.
import type { Readable } from 'node:stream'
import { type Bytes, concat } from '@sealed/protocol'
import { Pool } from 'undici'

export interface UnixAnswer {
  status: number
  body: Readable
}

/** The other process did not answer, or stopped before the end of its answer. */
export class UnixFailure extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'UnixFailure'
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
    })
  }

  /** Resolves at the answer's head. Throws `UnixFailure`, or the signal's reason. */
  async get(path: string, signal?: AbortSignal): Promise<UnixAnswer> {
    try {
      const answer = await this.#pool.request({ method: 'GET', path, ...(signal && { signal }) })
      // A body that dies before anyone reads it must not end the process.
      answer.body.on('error', () => {})
      return { status: answer.statusCode, body: answer.body }
    } catch (cause) {
      signal?.throwIfAborted()
      throw new UnixFailure('a process of this machine does not answer', cause)
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
    throw new UnixFailure('a process of this machine broke off its answer', cause)
  }
  return concat(...parts)
}
