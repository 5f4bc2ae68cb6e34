// The local OpenAI endpoint: decides which way a request goes. Calls for a workload, and all that is not known, go through
// the sealed fetch, which attests, encrypts and verifies, and refuses what it cannot seal; a list of what is public goes
// through unread. It listens on the loopback alone, holds no API key, and writes no contents anywhere.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { randomBytes, SealedError, toHex } from '@sealed/protocol'
import { type AttestOptions, attest } from '../../attest.ts'
import { Attester } from '../../attester.ts'
import { failureResponse } from '../../fetch/failure-response.ts'
import { createSealedFetch } from '../../fetch/sealed-fetch.ts'
import { Gateway } from '../../gateway.ts'
import { guard } from './guard.ts'
import { sealedCall } from './sealed-call.ts'
import { isUnread, refuse, Unread } from './unread.ts'
import { type Entry, VerdictRing } from './verdict-ring.ts'
import { writeResponse } from './write-response.ts'

export interface ProxyOptions extends Omit<AttestOptions, 'apiKey' | 'signal'> {
  /** On 127.0.0.1; 0 for any that is free. */
  port: number
  /** Holds streamed text back until it was verified. */
  strict: boolean
  workload?: string
  now: () => number
  onEnd: (line: Line) => void
  /** How long the gateway may say nothing on a way that is not sealed; a minute unless told. */
  timeoutMs?: number
}

/** How one request ended. `unread` and `refused` were not to be sealed, or not to be served. */
export interface Line extends Omit<Entry, 'outcome'> {
  method: string
  outcome: Entry['outcome'] | 'unread' | 'refused'
  took_ms: number
}

export interface RunningProxy {
  url: string
  /** Takes no new request, and cuts those that are not over by then. */
  close: (graceMs: number) => Promise<void>
}

/** Rejects when the port is taken. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const { port } = options
  const door = new Door(options)
  const server = createServer((req, res) => void door.answer(req, res))
  server.on('upgrade', (req, socket, head) => void door.upgrade(req, socket, head))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: (graceMs) =>
      new Promise((resolve) => {
        const cut = () => {
          server.closeAllConnections()
          door.cut()
        }
        const timer = setTimeout(cut, graceMs)
        door.stopping = () => server.closeIdleConnections()
        server.close(() => {
          clearTimeout(timer)
          resolve()
        })
        door.cut()
      }),
  }
}

class Door {
  /** Called after each answer once the proxy is stopping. */
  stopping: (() => void) | undefined
  readonly #options: ProxyOptions
  readonly #gateway: string
  readonly #fetch: ReturnType<typeof createSealedFetch>
  readonly #ring = new VerdictRing()
  readonly #unread: Unread
  readonly #upgraded = new Set<Duplex>()

  constructor(options: ProxyOptions) {
    const { fetch, now, policy, strict, timeoutMs, url, workload } = options
    const gateway = new Gateway({ url })
    const reach = { policy, now, ...(fetch && { fetch }) }
    const attester = new Attester({ attest: (signal) => attest({ ...reach, url, signal }), now })
    this.#options = options
    this.#gateway = gateway.url
    this.#fetch = createSealedFetch({
      ...reach,
      gateway: url,
      strict,
      ...(workload !== undefined && { workload }),
    })
    this.#unread = new Unread({
      gateway: gateway.url,
      keys: !gateway.inClear,
      attest: () => attester.get(),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
  }

  async answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const end = this.#begin(req)
    const none = { receipt_id: null, failed: [], code: null }
    res.on('error', () => res.destroy())
    res.once('close', () => this.stopping && setImmediate(this.stopping))
    try {
      guard(req)
      if (req.url === '/verdicts' && req.method === 'GET') {
        await writeResponse(Response.json({ verdicts: this.#ring.list() }), res)
      } else if (isUnread(req)) {
        await this.#unread.pass(req, res)
        end({ ...none, status: res.statusCode, outcome: 'unread' })
      } else {
        const came = await sealedCall(this.#fetch, this.#gateway, req, res)
        end({ ...came, status: res.statusCode })
      }
    } catch (error) {
      res.shouldKeepAlive = false
      const response = failureResponse(error, false)
      await writeResponse(response, res).catch(() => res.destroy())
      end({ ...none, status: response.status, outcome: 'refused', code: codeOf(error) })
    }
  }

  async upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const end = this.#begin(req)
    const none = { receipt_id: null, failed: [] }
    this.#upgraded.add(socket)
    socket.once('close', () => this.#upgraded.delete(socket))
    socket.on('error', () => socket.destroy())
    try {
      guard(req)
      if (!isUnread(req))
        throw new SealedError('endpoint.unknown', 'no upgrade is passed on to this path')
      const status = await this.#unread.upgrade(req, socket, head)
      end({ ...none, status, outcome: 'unread', code: null })
    } catch (error) {
      const { status } = failureResponse(error, false)
      refuse(socket, status)
      end({ ...none, status, outcome: 'refused', code: codeOf(error) })
    }
  }

  /** Ends upgraded connections: they have no end of their own to wait for. */
  cut(): void {
    for (const socket of this.#upgraded) socket.destroy()
  }

  #begin({ method = '', url = '' }: IncomingMessage) {
    const { now, onEnd } = this.#options
    const id = toHex(randomBytes(8))
    const at_ms = now()
    const path = url.split('?')[0]!.slice(0, 128)
    return (said: Omit<Line, 'id' | 'at_ms' | 'path' | 'method' | 'took_ms'>) => {
      const { outcome, ...rest } = said
      const entry = { id, at_ms, path, ...rest }
      if (outcome !== 'unread' && outcome !== 'refused') this.#ring.add({ ...entry, outcome })
      onEnd({ ...entry, method, outcome, took_ms: now() - at_ms })
    }
  }
}

const codeOf = (error: unknown): string =>
  error instanceof SealedError ? error.code : 'internal.error'
