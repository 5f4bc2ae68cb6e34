// A gateway on a real port with real Unix-socket servers where embassy and relay would be: for tests of the Node side,
// where what is tested is sockets. The stand-ins speak HTTP, or frames, and nothing of the protocol.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
} from 'node:http'
import { connect, createServer as createSocketServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  canonicalBytes,
  encodeRelayFrames,
  fromUtf8,
  type OutFrame,
  RelayFrameReader,
  type RelayRequest,
  utf8,
} from '@sealed/protocol'
import { createApp } from '../app.ts'
import type { GatewayLimits, RequestRecord } from '../deps.ts'
import { directStream } from '../node/direct-stream.ts'
import { embassyClient } from '../node/embassy-client.ts'
import { relayClient } from '../node/relay-client.ts'
import { RelaySocket } from '../node/relay-socket.ts'
import { whenSent } from '../node/sent.ts'
import { cutOff, incomingBody, type ServerLimits, startServer } from '../node/server.ts'
import { UnixClient } from '../node/unix-client.ts'
import { chat, ID, SALT, STATUS } from './fakes.ts'

export interface World {
  port: number
  relay: RelayStand
  embassy: Server
  /** What the app reported as unforeseen. */
  reported: unknown[]
  /** Of each request, once its answer has left. */
  records: RequestRecord[]
  stop(): Promise<void>
  /** Stops the gateway alone. */
  closeGateway(graceMs: number): Promise<void>
}

/** A request as the relay has it whole. */
export interface Asked {
  request: RelayRequest
  body: Uint8Array
  socket: Socket
  /** Whether more may be sent before the socket drains. */
  send(...frames: OutFrame[]): boolean
}
export interface RelayStand {
  /** Nobody listens any more, and every connection is closed. */
  close(): Promise<void>
}

export interface WorldOptions {
  relay?: (asked: Asked) => void
  embassy?: RequestListener
  limits?: Partial<GatewayLimits>
  server?: Partial<ServerLimits>
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'gateway-'))
  const at = (name: string) => join(directory, name)
  const answerStatus: RequestListener = (_, response) => response.end(JSON.stringify(STATUS))
  const relay = await listenAsRelay(at('relay'), options.relay ?? (() => {}))
  const embassy = await listen(at('embassy'), options.embassy ?? answerStatus)
  const embassySocket = new UnixClient(at('embassy'))
  const relaySocket = new RelaySocket(at('relay'))
  const reported: unknown[] = []
  const records: RequestRecord[] = []
  const app = createApp({
    embassy: embassyClient(embassySocket),
    relay: relayClient(relaySocket, 1024 * 1024),
    limits: {
      bodyBytes: 1024 * 1024,
      callerRequests: 64,
      totalRequests: 64,
      requestsPerMinute: 1_000,
      ...options.limits,
    },
    bodyOf: incomingBody,
    cutOff,
    streamOf: directStream,
    report: (error) => reported.push(error),
    record: (one) => records.push(one),
    whenSent,
  })
  const server = await startServer({
    fetch: (request, env) => app.fetch(request, env),
    host: '127.0.0.1',
    port: 0,
    ...(options.server && { limits: options.server }),
  })
  return {
    port: server.address.port,
    relay,
    embassy,
    reported,
    records,
    closeGateway: (graceMs) => server.close(graceMs),
    async stop() {
      await server.close(0)
      await embassySocket.close()
      relaySocket.close()
      await relay.close()
      embassy.closeAllConnections()
      await new Promise((resolve) => embassy.close(resolve))
      await rm(directory, { recursive: true })
    },
  }
}

async function listen(path: string, handler: RequestListener): Promise<Server> {
  const server = createServer(handler)
  server.listen(path)
  await once(server, 'listening')
  return server
}

async function listenAsRelay(path: string, handler: (asked: Asked) => void): Promise<RelayStand> {
  const sockets = new Set<Socket>()
  const server = createSocketServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
    const reader = new RelayFrameReader(1024 * 1024)
    let request: RelayRequest
    socket.on('data', (chunk: Buffer) => {
      for (const { type, bytes } of reader.push(chunk))
        if (type === 'request') request = JSON.parse(fromUtf8(bytes)) as RelayRequest
        else {
          const send = (...frames: OutFrame[]) => socket.write(encodeRelayFrames(...frames))
          handler({ request, body: bytes, socket, send })
        }
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    async close() {
      for (const socket of sockets) socket.destroy()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A raw connection to the gateway. */
export async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** Everything that comes until the connection ends; a reset ends it too. */
export async function readToEnd(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (part: Buffer) => {
    text += part.toString('latin1')
  })
  socket.on('error', () => {})
  await once(socket, 'close')
  return text
}

/** Sends `text` on a connection of its own and reads until the gateway closes it. */
export async function exchange(port: number, text: string): Promise<string> {
  const socket = await dial(port)
  const answer = readToEnd(socket)
  socket.write(text)
  return answer
}

/** Posts and resolves at the head of the answer. */
export async function postHead(
  port: number,
  path: string,
  body: string,
  type: string,
): Promise<IncomingMessage> {
  const outgoing = request({
    port,
    host: '127.0.0.1',
    path,
    method: 'POST',
    agent: false,
    headers: { 'content-type': type, 'content-length': Buffer.byteLength(body) },
  })
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  return incoming
}

/** Waits until `test` holds; every round lets the event loop turn once. */
export async function until(test: () => boolean): Promise<void> {
  while (!test()) await new Promise((resolve) => setImmediate(resolve))
}

/** Waits until `value` is the same for many turns of the event loop, and returns it. */
export async function settled(value: () => number): Promise<number> {
  let last = value()
  for (let same = 0; same < 2_000; ) {
    await new Promise((resolve) => setImmediate(resolve))
    const now = value()
    same = now === last ? same + 1 : 0
    last = now
  }
  return last
}

/** Head of a sealed answer, as the relay sends it. */
export const SEALED_HEAD: OutFrame = ['head', canonicalBytes({ session: ID })]
/** Head of a plain one. */
export const plainHead = (members: object = {}): OutFrame => [
  'head',
  canonicalBytes({
    content_type: 'application/json',
    salt: SALT,
    session: ID,
    status: 200,
    stream: false,
    ...members,
  }),
]
export const data = (text: string): OutFrame => ['data', utf8(text)]
/** With a receipt, where there is one. */
export const final = (receipt = ''): OutFrame => ['final', utf8(receipt)]
export const failed = (body: string): OutFrame => ['failed', utf8(body)]
/** A whole plain answer. */
export const GOOD = [plainHead(), data('{"a":1}'), final('cmVj')]
/** A relay that gives these frames to whoever asks. */
export const giving =
  (...frames: OutFrame[]) =>
  ({ send }: Asked) =>
    void send(...frames)

/** Asks the plain door. */
export const askPlain = (port: number) =>
  fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    body: chat(),
    headers: { 'content-type': 'application/json' },
  })
