// What the gateway says to everyone, passed through unread by `http-proxy`: models, log, receipts, evidence, health. Only
// what is listed goes this way, without a body and with the headers named here, so both sides read the same request;
// a call for a workload never does. An upgraded connection carries what nobody here reads, so it is made only to a
// machine that was just attested.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SealedError } from '@sealed/protocol'
import httpProxy from 'http-proxy'
import { failureResponse } from '../../fetch/failure-response.ts'
import { writeResponse } from './write-response.ts'

const NAME = '[A-Za-z0-9][A-Za-z0-9._:-]{0,127}'
const PATHS = new RegExp(
  `^/(?:${[
    `v1/models(?:/${NAME})?`,
    `v1/receipts/${NAME}(?:/proof)?`,
    `v1/attestation(?:/${NAME})?`,
    `log(?:/${NAME}){1,8}`,
    'v1/status',
    'openapi\\.json',
    'health(?:/(?:live|ready))?',
  ].join('|')})(?:\\?[A-Za-z0-9_=&%.~-]*)?$`,
)

/** Everything else stays here: whatever speaks of one connection, of a body, or of whoever sent it. */
const PASSED = [
  'accept',
  'authorization',
  'if-none-match',
  'prefer',
  'traceparent',
  'tracestate',
  'user-agent',
]
const UPGRADE = [
  'connection',
  'upgrade',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
]
/** RFC 9110, section 7.6.1, and what RFC 2616 counted among them. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

const TIMEOUT_MS = 60_000

export const isUnread = ({ method, url }: IncomingMessage): boolean =>
  (method === 'GET' || method === 'HEAD') && PATHS.test(url ?? '')

export interface UnreadOptions {
  /** Of the gateway, without a slash at its end. */
  gateway: string
  /** False where an API key would cross a network in clear. */
  keys: boolean
  /** Rejects when the machine must not be spoken to. */
  attest: () => Promise<unknown>
  /** How long a gateway may say nothing; a minute unless told. */
  timeoutMs?: number
}

export class Unread {
  readonly #options: UnreadOptions
  readonly #timeoutMs: number
  readonly #proxy: ReturnType<typeof httpProxy.createProxyServer>

  constructor(options: UnreadOptions) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#proxy = httpProxy.createProxyServer({
      target: options.gateway,
      changeOrigin: true,
      selfHandleResponse: true,
      proxyTimeout: this.#timeoutMs,
    })
    this.#proxy.on('proxyReq', (out, _req, res) => void res.once('close', () => out.destroy()))
    this.#proxy.on('proxyRes', (answer, _req, res) => {
      res.writeHead(answer.statusCode!, endToEnd(answer))
      // A connection that breaks on one side is broken on the other.
      void pipeline(answer, res).catch(() => {})
    })
    this.#proxy.on('error', (cause, _req, to) => {
      if (!('writeHead' in to) || to.headersSent || to.destroyed) return void to.destroy()
      void writeResponse(failureResponse(unreachable(cause), false), to).catch(() => {})
    })
  }

  /** Resolves when the answer is over. Throws for a request with a body. */
  async pass(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.#limit(req, PASSED)
    const over = new Promise((resolve) => res.once('close', resolve))
    unwarned(() => this.#proxy.web(req, res))
    await over
  }

  /**
   * Gives the status that the gateway answered with, 101 where it took the upgrade. Throws when the machine does not
   * verify, for anything but a WebSocket, and when either side leaves before there is an answer.
   */
  async upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<number> {
    if (req.method !== 'GET' || req.headers.upgrade?.toLowerCase() !== 'websocket')
      throw new SealedError('request.unsupported', 'the one upgrade is websocket', {
        param: 'upgrade',
      })
    this.#limit(req, [...PASSED, ...UPGRADE])
    req.headers.connection = 'Upgrade'
    const gone = new Promise<never>((_resolve, reject) =>
      socket.once('close', () => reject(new SealedError('session.aborted', 'the caller has left'))),
    )
    await Promise.race([this.#options.attest(), gone])
    return Promise.race([this.#upgraded(req, socket, head), gone])
  }

  #upgraded(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#proxy.once('proxyReqWs', (out) => {
        socket.once('close', () => out.destroy())
        out.setTimeout(this.#timeoutMs, () => out.destroy())
        out.once('upgrade', (_answer: IncomingMessage, upstream: Duplex) => {
          socket.once('close', () => upstream.destroy())
          upstream.once('close', () => socket.destroy())
          resolve(101)
        })
        // Instead of an upgrade, an ordinary answer: its status goes on, its body does not.
        out.once('response', (answer: IncomingMessage) => {
          answer.headers = { connection: 'close', 'content-length': '0' }
          answer.destroy()
          setImmediate(() => socket.end())
          resolve(answer.statusCode!)
        })
      })
      unwarned(() =>
        this.#proxy.ws(req, socket, head, {}, (cause) => {
          const error = unreachable(cause)
          refuse(socket, failureResponse(error, false).status)
          reject(error)
        }),
      )
    })
  }

  #limit(req: IncomingMessage, names: readonly string[]): void {
    const { headers } = req
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0)
      throw new SealedError('request.invalid', 'a request that is passed on has no body')
    if (headers.authorization !== undefined && !this.#options.keys)
      throw new SealedError(
        'request.invalid',
        'the API key would cross the network in clear; use a gateway with an https URL',
        { param: 'url' },
      )
    req.headers = Object.fromEntries(
      Object.entries(headers).filter(([name]) => names.includes(name)),
    )
  }
}

/** Instead of an upgrade. */
export function refuse(socket: Duplex, status: number): void {
  if (!socket.writable) return
  socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

const unreachable = (cause: Error) =>
  new SealedError('gateway.unreachable', 'the gateway does not answer', { cause })

/** Headers of an answer without those that speak of its connection. */
function endToEnd({ headers }: IncomingMessage): Record<string, string | string[]> {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !HOP_BY_HOP.includes(name) && !named.includes(name))
      kept[name] = value
  return kept
}

/** `http-proxy` uses what Node warns of, at its first request; a user of ours could do nothing about it. */
function unwarned(call: () => void): void {
  const { noDeprecation = false } = process
  process.noDeprecation = true
  try {
    call()
  } finally {
    process.noDeprecation = noDeprecation
  }
}
