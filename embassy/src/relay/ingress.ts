// The relay's socket, which only the gateway opens: one request at a time on a connection, answered in frames. What is
// no request ends the connection.
import { createServer, type Socket } from 'node:net'
import {
  fromUtf8,
  MAX_ENVELOPE_BYTES,
  parseRpc,
  parseStrict,
  type RelayFrame,
  RelayFrameReader,
  type RelayRequest,
  relayRequestSchema,
  SealedError,
  toRpcError,
  utf8,
} from '@sealed/protocol'
import { bind } from '../server/bind.ts'
import { Outgoing } from './outgoing.ts'
import { plainDoor } from './plain-door.ts'
import type { SessionDeps } from './run-session.ts'
import { sealedDoor } from './sealed-door.ts'

/** `bodyBytes` is what an ordinary request's body may have; `gid` as for `bind`. */
export async function listenForRequests(
  deps: SessionDeps,
  { path, gid, bodyBytes }: { path: string; gid: number; bodyBytes: number },
): Promise<void> {
  const server = createServer((socket) => serve(deps, socket, bodyBytes))
  await bind(server, path, gid)
}

function serve(deps: SessionDeps, socket: Socket, bodyBytes: number): void {
  const reader = new RelayFrameReader(Math.max(bodyBytes, MAX_ENVELOPE_BYTES))
  let request: RelayRequest | undefined
  let outgoing: Outgoing | undefined
  const take = ({ type, bytes }: RelayFrame) => {
    if (outgoing || type !== (request ? 'body' : 'request'))
      throw new SealedError('request.invalid', 'one request at a time: its head, then its body')
    if (!request) {
      request = parseRpc(relayRequestSchema, parseStrict(fromUtf8(bytes)), 'request')
      return
    }
    outgoing = new Outgoing(socket)
    void answer(deps, request, bytes, outgoing).then(() => {
      request = undefined
      outgoing = undefined
    })
  }
  socket.on('error', () => undefined)
  socket.once('close', () => outgoing?.left())
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const frame of reader.push(chunk)) take(frame)
    } catch (error) {
      if (!(error instanceof SealedError)) console.error(error)
      socket.destroy()
    }
  })
}

/** Never rejects: what fails is said in the last frame. */
async function answer(
  deps: SessionDeps,
  request: RelayRequest,
  body: Uint8Array,
  outgoing: Outgoing,
): Promise<void> {
  try {
    if (request.door === 'plain') await plainDoor(deps, request, body, outgoing)
    else await sealedDoor(deps, request.caller, body, outgoing)
  } catch (error) {
    if (!(error instanceof SealedError)) console.error(error)
    outgoing.end(['failed', utf8(JSON.stringify(toRpcError(error)))])
  }
}
