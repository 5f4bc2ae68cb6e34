// A gateway on a real port with real Unix-socket servers where embassy and relay would be: for tests of the Node side,
// where what is tested is sockets. The stand-ins speak HTTP and nothing of the protocol.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RESPONSE_TYPE } from '@sealed/protocol'
import { createApp } from '../app.ts'
import type { GatewayLimits, RequestRecord } from '../deps.ts'
import { embassyClient } from '../node/embassy-client.ts'
import { relayClient } from '../node/relay-client.ts'
import { whenSent } from '../node/sent.ts'
import { cutOff, incomingBody, type ServerLimits, startServer } from '../node/server.ts'
import { UnixClient } from '../node/unix-client.ts'
import { ID, STATUS } from './fakes.ts'

export interface World {
  port: number
  relay: Server
  embassy: Server
  /** What the app reported as unforeseen. */
  reported: unknown[]
  /** Of each request, once its answer has left. */
  records: RequestRecord[]
  stop(): Promise<void>
  /** Stops the gateway alone. */
  closeGateway(graceMs: number): Promise<void>
}

export interface WorldOptions {
  relay?: RequestListener
  embassy?: RequestListener
  limits?: Partial<GatewayLimits>
  server?: Partial<ServerLimits>
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'gateway-'))
  const at = (name: string) => join(directory, name)
  const answerStatus: RequestListener = (_, response) => response.end(JSON.stringify(STATUS))
  const relay = await listen(at('relay'), options.relay ?? ((_, response) => response.end()))
  const embassy = await listen(at('embassy'), options.embassy ?? answerStatus)
  const clients = [new UnixClient(at('embassy')), new UnixClient(at('relay'))] as const
  const reported: unknown[] = []
  const records: RequestRecord[] = []
  const app = createApp({
    embassy: embassyClient(clients[0]),
    relay: relayClient(clients[1], 1024 * 1024),
    limits: {
      bodyBytes: 1024 * 1024,
      callerRequests: 64,
      totalRequests: 64,
      requestsPerMinute: 1_000,
      ...options.limits,
    },
    bodyOf: incomingBody,
    cutOff,
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
      for (const client of clients) await client.close()
      for (const stand of [relay, embassy]) {
        stand.closeAllConnections()
        if (stand.listening) await new Promise((resolve) => stand.close(resolve))
      }
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
export const SEALED_HEAD = { 'content-type': RESPONSE_TYPE, 'sealed-receipt-id': ID }
