// The HTTP below the ACME library: ours in place of its own, which has neither deadlines nor bounds and waits within
// itself for as long as a server asks. HTTPS only, no redirects, no proxies from the environment, each request bounded in
// time and its answer in size; what is no answer to work with becomes an `AcmeFailure` that says when to come again.
import { fromUtf8 } from '@sealed/protocol'
import { axios } from 'acme-client'
import { Agent } from 'undici'
import { readAll } from '../node/unix-client.ts'
import { AcmeFailure, quoted } from './failure.ts'

export interface HttpLimits {
  /** From the connection to the last byte of an answer. */
  requestMs: number
  answerBytes: number
}
export const HTTP_LIMITS: HttpLimits = { requestMs: 30_000, answerBytes: 256 * 1024 }

type Adapter = Extract<typeof axios.defaults.adapter, (...args: never[]) => unknown>
type Config = Parameters<Adapter>[0]

export interface AcmeHttp {
  close(): Promise<void>
}

/**
 * Puts this under the library, for the whole process: it has one HTTP client. `roots`, PEM, are the only ones trusted
 * where they are given; what is under way ends with `signal`.
 */
export function useHttp(
  signal: AbortSignal,
  roots: string | undefined,
  limits: HttpLimits = HTTP_LIMITS,
): AcmeHttp {
  const agent = new Agent({
    connect: { timeout: limits.requestMs, ...(roots !== undefined && { ca: roots }) },
    maxHeaderSize: 16 * 1024,
  })
  const adapter: Adapter = async (config) => {
    const url = config.url ?? ''
    if (!url.startsWith('https://'))
      throw new AcmeFailure(
        'refused',
        `the ACME server named an address without TLS: ${quoted(url)}`,
      )
    const answer = await exchange(agent, url, config, limits, signal)
    refuseFailure(answer)
    return { ...answer, statusText: '', config }
  }
  axios.defaults.adapter = adapter
  return { close: () => agent.destroy() }
}

interface Answer {
  status: number
  headers: Record<string, string>
  data: string
}

async function exchange(
  agent: Agent,
  url: string,
  config: Config,
  limits: HttpLimits,
  stopped: AbortSignal,
): Promise<Answer> {
  const signal = AbortSignal.any([stopped, AbortSignal.timeout(limits.requestMs)])
  try {
    const answer = await agent.request({
      origin: new URL(url).origin,
      path: url.slice(new URL(url).origin.length) || '/',
      method: (config.method ?? 'get').toUpperCase() as 'GET' | 'HEAD' | 'POST',
      headers: { 'content-type': 'application/jose+json', 'user-agent': 'sealed-gateway' },
      ...(typeof config.data === 'string' && { body: config.data }),
      signal,
    })
    const body = await readAll(answer.body, limits.answerBytes, signal)
    const headers = Object.fromEntries(
      Object.entries(answer.headers).map(([name, value]) => [name, String(value)]),
    )
    return { status: answer.statusCode, headers, data: fromUtf8(body) }
  } catch (cause) {
    stopped.throwIfAborted()
    throw new AcmeFailure(
      'unreachable',
      `${new URL(url).host} does not answer: ${causeOf(cause)}`,
      {
        cause,
      },
    )
  }
}

const causeOf = (error: unknown): string => {
  const { cause, message, code } = error as NodeJS.ErrnoException
  return quoted(cause instanceof Error ? cause.message : message || code)
}

const BAD_NONCE = 'urn:ietf:params:acme:error:badNonce'
const RATE_LIMITED = 'urn:ietf:params:acme:error:rateLimited'

/** A refused nonce is the library's to send again; every other answer that is not one of success ends the attempt. */
function refuseFailure({ status, headers, data }: Answer): void {
  if (status >= 200 && status < 300) return
  const { type, detail } = problemOf(data)
  if (status === 400 && type === BAD_NONCE) return
  const isLimit = status === 429 || type === RATE_LIMITED
  const reason = isLimit ? 'rate_limited' : status >= 500 ? 'unreachable' : 'refused'
  throw new AcmeFailure(
    reason,
    `the ACME server answered ${status} ${quoted(type ?? '')}: ${quoted(detail ?? '')}`,
    {
      retryAfterMs: retryAfter(headers['retry-after']),
    },
  )
}

function problemOf(text: string): { type?: unknown; detail?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

/** Milliseconds; the header holds seconds or a date. */
export function retryAfter(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
