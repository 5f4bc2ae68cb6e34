// HTTP to one gateway: bounded bodies, errors with the server's code, no redirects. It judges nothing: what comes back
// is evidence to be verified, and the API key goes out only with a request that asks for it.
import { type Bytes, concat, fromUtf8, SealedError } from '@sealed/protocol'
import { failureOf } from './failure.ts'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface GatewayOptions {
  /** `http://127.0.0.1:8080`, `https://…`; plain HTTP carries an API key only to the loopback. */
  url: string
  apiKey?: string
  fetch?: Fetch
}

const MAX_ERROR_BYTES = 65_536
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

export class Gateway {
  /** Without a slash at the end. */
  readonly url: string
  readonly #fetch: Fetch
  readonly #apiKey: string | undefined
  /** The host that is reached in clear across a network. */
  readonly #clear: string | undefined

  /** Throws `request.invalid` for a URL or an API key that cannot be used. */
  constructor(options: GatewayOptions) {
    const url = parseUrl(options.url)
    this.#clear = url.protocol === 'http:' && !LOOPBACK.test(url.hostname) ? url.host : undefined
    this.#authorize(options.apiKey)
    this.url = url.href.replace(/\/+$/, '')
    this.#fetch = options.fetch ?? ((target, init) => fetch(target, init))
    this.#apiKey = options.apiKey
  }

  /**
   * Bytes of a resource; a `call` sends the API key with it, its own or the gateway's. Throws the server's error,
   * `gateway.unreachable`, or `response.invalid` over `max`.
   */
  async get(
    path: string,
    max: number,
    signal?: AbortSignal,
    call?: { apiKey: string | undefined },
  ): Promise<Bytes> {
    const headers = call ? this.#authorize(call.apiKey ?? this.#apiKey) : {}
    const response = await this.#send(path, { method: 'GET', headers }, signal)
    const where = this.#where(path)
    try {
      return await readAll(response.body, max, where, signal)
    } catch (cause) {
      signal?.throwIfAborted()
      if (cause instanceof SealedError) throw cause
      throw new SealedError('gateway.unreachable', `the connection to ${where} broke`, { cause })
    }
  }

  /** Posts with the call's API key or the gateway's; returns an answer with status 200 and the given type, else throws. */
  async post(
    path: string,
    body: Bytes,
    types: { request: string; response: string },
    { apiKey, signal }: { apiKey?: string | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Response> {
    const headers = {
      'content-type': types.request,
      accept: types.response,
      ...this.#authorize(apiKey ?? this.#apiKey),
    }
    const response = await this.#send(path, { method: 'POST', body, headers }, signal)
    const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
    if (type === types.response) return response
    await response.body?.cancel()
    throw new SealedError(
      'response.invalid',
      `${this.#where(path)} answered with type ${type ?? 'none'} instead of ${types.response}`,
    )
  }

  /** Throws `request.invalid` for a key that would cross a network in clear. */
  #authorize(apiKey: string | undefined): Record<string, string> {
    if (!apiKey) return {}
    if (this.#clear === undefined) return { authorization: `Bearer ${apiKey}` }
    throw new SealedError(
      'request.invalid',
      `the API key would cross the network in clear to ${this.#clear}; use an https URL`,
      { param: 'url' },
    )
  }

  /** True where whatever is sent crosses a network in clear; no API key does. */
  get inClear(): boolean {
    return this.#clear !== undefined
  }

  /** An address for messages: nonces say nothing to a reader. */
  #where(path: string): string {
    return `${this.url}${path.split('?')[0]}`
  }

  async #send(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const where = this.#where(path)
    let response: Response
    try {
      response = await this.#fetch(this.url + path, {
        ...init,
        redirect: 'manual',
        ...(signal && { signal }),
      })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new SealedError('gateway.unreachable', `nothing answers at ${where}${reason(cause)}`, {
        cause,
      })
    }
    if (response.status === 200) return response
    const body = await readAll(response.body, MAX_ERROR_BYTES, where).then(fromUtf8, () => '')
    const retryAfterMs = retryAfter(response.headers.get('retry-after'))
    throw failureOf(response.status, body, {
      where,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    })
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const odd = !url || url.search || url.hash || url.username || url.password
  if (odd || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new SealedError(
      'request.invalid',
      'the gateway’s URL must be http(s)://host[:port] without credentials, query or fragment',
      { param: 'url' },
    )
  return url
}

/** Node puts the system's word for the failure into the cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  const code = typeof cause === 'object' && cause && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' ? ` (${code})` : ''
}

/** `Retry-After` in seconds (RFC 9110, section 10.2.3), in milliseconds; a date is not used by these gateways. */
const retryAfter = (header: string | null): number | undefined =>
  header && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined

/**
 * The parts of a body; gives the connection up when the reader stops early or the signal says so. Throws what `broken`
 * makes of a connection that broke.
 */
export async function* chunks(
  body: ReadableStream<Uint8Array> | null,
  signal?: AbortSignal,
  broken: (cause: unknown) => unknown = (cause) => cause,
): AsyncGenerator<Uint8Array, void, void> {
  if (!body) return
  const reader = body.getReader()
  const stop = () => void reader.cancel(signal?.reason).catch(() => {})
  signal?.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      signal?.throwIfAborted()
      let part: ReadableStreamReadResult<Uint8Array>
      try {
        part = await reader.read()
      } catch (cause) {
        signal?.throwIfAborted()
        throw broken(cause)
      }
      signal?.throwIfAborted()
      if (part.done) return
      yield part.value
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    await reader.cancel().catch(() => {})
  }
}

async function readAll(
  body: ReadableStream<Uint8Array> | null,
  max: number,
  where: string,
  signal?: AbortSignal,
): Promise<Bytes> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of chunks(body, signal)) {
    length += part.length
    if (length > max)
      throw new SealedError('response.invalid', `${where} answered with more than ${max} bytes`)
    parts.push(part)
  }
  return concat(...parts)
}
