// HTTP from the edge to the one VM behind it. Every header is written here: what a client or Cloudflare put on a request
// is neither believed nor handed on, save the few that a call names. Redirects are not followed, nothing is cached.
import {
  type Bytes,
  CODES,
  type Code,
  concat,
  fromUtf8,
  SealedError,
  SessionFailure,
} from '@sealed/protocol'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface OriginRequest {
  method: 'GET' | 'POST'
  path: string
  headers?: Record<string, string>
  body?: Uint8Array
  signal?: AbortSignal
}

/** The VM did not answer, broke off, or something else answered. A Worker cannot tell whether the request reached it. */
export class OriginFailure extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'OriginFailure'
  }
}

/** Room for a receipt beside the error. */
const MAX_ERROR_BYTES = 128 * 1024
const RECEIPT_ID = /^[0-9a-f]{32}$/

export class Origin {
  readonly #url: string
  readonly #fetch: Fetch

  constructor(url: string, fetch: Fetch) {
    this.#url = url
    this.#fetch = fetch
  }

  /** Resolves at the answer's head, whatever its status. Throws `OriginFailure`, or the signal's reason. */
  async request({ method, path, headers, body, signal }: OriginRequest): Promise<Response> {
    try {
      return await this.#fetch(this.#url + path, {
        method,
        redirect: 'manual',
        cache: 'no-store',
        ...(headers && { headers }),
        ...(body && { body: body as Bytes }),
        ...(signal && { signal }),
      })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new OriginFailure('the machine behind this edge does not answer', cause)
    }
  }

  /** The body of a public resource; undefined for 404. Throws the VM's error or `OriginFailure`. */
  async get(path: string, max: number, signal?: AbortSignal): Promise<Bytes | undefined> {
    const response = await this.request({ method: 'GET', path, ...(signal && { signal }) })
    if (response.status === 200) return readBounded(response, max, signal)
    const failure = await failureOf(response, signal)
    if (failure?.code === 'request.not_found') return undefined
    throw failure ?? new OriginFailure(`something answered ${response.status} for the machine`)
  }
}

/** Reads a body of at most `max` bytes. Throws `OriginFailure` when it is larger or breaks off. */
export async function readBounded(
  response: Response,
  max: number,
  signal?: AbortSignal,
): Promise<Bytes> {
  const parts: Uint8Array[] = []
  let length = 0
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader()
  try {
    for (;;) {
      const part = await reader?.read()
      if (!part || part.done) return concat(...parts)
      length += part.value.length
      if (length > max) throw new Error(`more than ${max} bytes`)
      parts.push(part.value)
    }
  } catch (cause) {
    await reader?.cancel(cause).catch(() => {})
    signal?.throwIfAborted()
    throw new OriginFailure('the machine behind this edge broke off its answer', cause)
  }
}

/** The error that the VM's gateway answered with; undefined when what answered is no gateway of ours. */
export async function failureOf(
  response: Response,
  signal?: AbortSignal,
): Promise<SessionFailure | undefined> {
  const bytes = await readBounded(response, MAX_ERROR_BYTES, signal)
  const body = tryJson(bytes)
  const error = member(body, 'error')
  const code = member(error, 'code')
  const message = member(error, 'message')
  if (typeof code !== 'string' || !Object.hasOwn(CODES, code) || typeof message !== 'string')
    return undefined
  const param = member(error, 'param')
  const receipt = member(body, 'receipt')
  const session = response.headers.get('sealed-receipt-id') ?? ''
  const seconds = response.headers.get('retry-after') ?? ''
  return new SessionFailure(code as Code, message.slice(0, 2048), {
    ...(typeof param === 'string' && { param: param.slice(0, 256) }),
    ...(typeof receipt === 'string' && { receipt }),
    ...(RECEIPT_ID.test(session) && { session }),
    ...(/^\d{1,6}$/.test(seconds) && { retryAfterMs: Number(seconds) * 1000 }),
  })
}

function tryJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes))
  } catch {
    return undefined
  }
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined

/** For what reads only: nothing can have happened twice. */
export async function reading<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof OriginFailure)) throw error
    throw new SealedError('embassy.unavailable', error.message, { cause: error })
  }
}
