// Mutants: every status taken for `ready`; who says nothing, or is not there, taken for the other.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { reachOf } from './reach.ts'

async function serverThat(answers: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    answers(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}
const reach = (port: number) => reachOf({ question: 1, address: '127.0.0.1', port, localPort: 0 })
const says = (answer: string) => (socket: Socket) => socket.once('data', () => socket.end(answer))

test.each<[string, (socket: Socket) => void, string]>([
  ['is well', says('HTTP/1.1 200 OK\r\n\r\n'), 'ready'],
  ['has no such path', says('HTTP/1.1 404 Not Found\r\n\r\n'), 'ready'],
  ['fails', says('HTTP/1.0 500 Oh\r\n\r\n'), 'ready'],
  ['loads its model', says('HTTP/1.1 503 Service Unavailable\r\n\r\n'), 'loading'],
  ['speaks something else', says('220 ready\r\n'), 'ready'],
  ['hangs up at once', (socket) => socket.destroy(), 'ready'],
  ['says nothing', () => {}, 'ready'],
])('a server that %s', async (_, answers, reached) => {
  expect(await reach(await serverThat(answers))).toBe(reached)
})

test('nobody who listens', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  expect(await reach(port)).toBe('no')
})
