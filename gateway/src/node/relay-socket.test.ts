// Requests that share a connection, one after the other. Mutants: `isOver` always false, for `leave` and for `next`.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeRelayFrames, fromUtf8, utf8 } from '@sealed/protocol'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { RelaySocket } from './relay-socket.ts'

const REQUEST = { caller: 'c', door: 'envelope' } as const
const NOTHING = new Uint8Array(0)

let directory: string
let server: Server
let relay: RelaySocket
/** The connections that the relay has, in the order in which they came. */
let connections: Socket[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'relay-'))
  connections = []
  server = createServer((socket) => {
    connections.push(socket.on('error', () => {}).resume())
  })
  server.listen(join(directory, 'socket'))
  await once(server, 'listening')
  relay = new RelaySocket(join(directory, 'socket'))
})
afterEach(async () => {
  relay.close()
  await new Promise((resolve) => server.close(resolve))
  await rm(directory, { recursive: true })
})

const ask = (signal = new AbortController().signal) => relay.ask(REQUEST, NOTHING, signal)
const give = (text: string) =>
  connections[0]!.write(encodeRelayFrames(['data', utf8(text)], ['final', NOTHING]))
async function whole(answer: Awaited<ReturnType<typeof ask>>): Promise<string> {
  const { bytes } = await answer.next()
  expect((await answer.next()).type).toBe('final')
  return fromUtf8(bytes)
}

async function first(signal?: AbortSignal) {
  const answer = await ask(signal)
  while (connections.length === 0) await once(server, 'connection')
  give('first')
  expect(await whole(answer)).toBe('first')
  return answer
}

it('whoever leaves after the end of an answer takes nobody else’s with it', async () => {
  const before = await first()
  const after = await ask()
  before.leave()
  give('second')
  expect(await whole(after)).toBe('second')
  expect(connections).toHaveLength(1)
})

it('a signal that is aborted after the end of an answer takes nobody else’s with it', async () => {
  const gone = new AbortController()
  await first(gone.signal)
  const after = await ask()
  gone.abort()
  give('second')
  expect(await whole(after)).toBe('second')
})

it('whoever reads on after the end of an answer reads nobody else’s', async () => {
  const before = await first()
  const after = await ask()
  const stolen = before.next().catch((error: Error) => error.message)
  give('second')
  expect(await whole(after)).toBe('second')
  expect(await stolen).toBe('it is over')
})

it('a signal that is aborted before or while a request is under way ends it with its reason', async () => {
  await expect(ask(AbortSignal.abort('early'))).rejects.toBe('early')
  const gone = new AbortController()
  const answer = await ask(gone.signal)
  const frame = answer.next()
  gone.abort('late')
  await expect(frame).rejects.toBe('late')
})
