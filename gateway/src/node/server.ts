// The HTTP server under the app: its limits are on how a request comes in, never on how long its answer takes.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  createServer as createTlsServer,
  type ServerOptions as HttpsOptions,
  type Server as TlsServer,
} from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import type { Context } from 'hono'
import { alpnCallback, type Challenges, keepFromHttp } from '../acme/alpn.ts'
import { errorBody } from '../errors.ts'
import { parserFault, refuseRequest, refuseSocket } from './refuse.ts'

export interface ServerLimits {
  /** Bytes of a request's header, and how many fields it may have. */
  headerBytes: number
  headerFields: number
  /** From the connection to the end of the header, and to the end of the request's body. */
  headersMs: number
  requestMs: number
  /** How often those two are looked at. */
  checkMs: number
  /** How long a connection may be idle between requests. */
  idleMs: number
}

export const SERVER_LIMITS: ServerLimits = {
  headerBytes: 16 * 1024,
  headerFields: 100,
  headersMs: 10_000,
  requestMs: 60_000,
  checkMs: 1_000,
  idleMs: 65_000,
}

export interface ServerOptions {
  fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>
  host: string
  port: number
  /** PEM; absent for plain HTTP. `challenges` are answered on this port, beside HTTP. */
  tls?: { certificate: string; key: string; challenges?: Challenges }
  limits?: Partial<ServerLimits>
}

export interface RunningServer {
  address: AddressInfo
  /** Serves another certificate (PEM) of the same key, from the next handshake on; connections stay. */
  setCertificate(certificate: string): void
  /** Lets requests under way end, for `graceMs` at the most, then cuts what is left. */
  close(graceMs: number): Promise<void>
}

/** Listens; rejects when the address cannot be had. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const limits = { ...SERVER_LIMITS, ...options.limits }
  const common = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkMs,
    keepAliveTimeout: limits.idleMs,
  }
  const { tls } = options
  const secure = tls && tlsServer(tls, { ...common, handshakeTimeout: limits.headersMs })
  const server: Server = secure ?? createServer(common)
  // What is above the limit would be dropped unseen; it is counted and refused below.
  server.maxHeadersCount = 0
  let closing = false
  const open = new Set<Socket>()
  const busy = new WeakSet<Duplex>()
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  const listener = getRequestListener(
    (request, env) => options.fetch(request, env as HttpBindings) as Promise<Response>,
    { hostname: 'localhost', errorHandler: malformed },
  )
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { socket } = incoming
    busy.add(socket)
    outgoing.once('close', () => {
      busy.delete(socket)
      if (closing) socket.destroySoon()
    })
    if (incoming.rawHeaders.length > 2 * limits.headerFields)
      refuseRequest(outgoing, 431, {
        code: 'request.too_large',
        message: `the header has more than ${limits.headerFields} fields`,
      })
    else void listener(incoming, outgoing)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (busy.has(socket) || !socket.writable || error.code === 'ECONNRESET') return socket.destroy()
    const { status, fault } = parserFault(error)
    refuseSocket(socket, status, fault)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  return {
    address: server.address() as AddressInfo,
    setCertificate: (cert) => secure?.setSecureContext({ ...contextOf(tls!), cert }),
    close: (graceMs) =>
      new Promise((resolve) => {
        closing = true
        const timer = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close(() => {
          clearTimeout(timer)
          resolve()
        })
        // Node's own closing of idle connections leaves those that have not asked for anything yet.
        for (const socket of open) if (!busy.has(socket)) socket.destroy()
      }),
  }
}

type Tls = NonNullable<ServerOptions['tls']>

const contextOf = ({ certificate, key }: Tls) =>
  ({ cert: certificate, key, minVersion: 'TLSv1.2' }) as const

function tlsServer(tls: Tls, options: HttpsOptions): TlsServer {
  const { challenges } = tls
  const server = createTlsServer({
    ...options,
    ...contextOf(tls),
    ...(challenges && { ALPNCallback: alpnCallback(challenges) }),
  })
  if (challenges) keepFromHttp(server)
  return server
}

function malformed(error: unknown): Response {
  const status = error instanceof RequestError ? 400 : 500
  const code = status === 400 ? 'request.invalid' : 'internal.error'
  const message =
    status === 400 ? 'malformed URL or Host header' : 'an unexpected failure of the gateway'
  return Response.json(errorBody(status, { code, message, param: undefined }), {
    status,
    headers: { 'cache-control': 'no-store', 'x-request-id': crypto.randomUUID() },
  })
}

/** The request's body straight from Node's stream; stopping early leaves the connection to the server. */
export const incomingBody = (c: Context): AsyncIterable<Uint8Array> =>
  (c.env as HttpBindings).incoming.iterator({ destroyOnReturn: false })

/** Ends the connection of a client whose answer broke off: no last chunk, nothing that looks like an end. */
export const cutOff = (c: Context): void => {
  ;(c.env as HttpBindings).outgoing.destroy()
}
