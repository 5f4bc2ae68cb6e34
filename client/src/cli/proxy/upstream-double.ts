// What stands behind a proxy's unread paths, on a real socket: notes every request that reaches it, and answers as told,
// or takes an upgrade where it was told nothing. Sealed calls do not come here: they go through the fetch that a test
// gives the proxy.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'

export async function upstream(answer?: RequestListener) {
  const seen: IncomingMessage[] = []
  const server = createServer((req, res) => {
    seen.push(req)
    if (answer) answer(req, res)
    else res.end('{}')
  })
  if (!answer)
    server.on('upgrade', (req, socket) => {
      seen.push(req)
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      )
      socket.pipe(socket)
      socket.on('error', () => {})
    })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Writes bytes to a port and gives all that comes back until the other side ends, or `until` is in it. */
export function exchangeBytes(url: string, bytes: string, until?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) })
    let text = ''
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('data', (chunk: string) => {
      text += chunk
      if (until !== undefined && text.includes(until)) socket.destroy()
    })
    socket.on('close', () => resolve(text))
    socket.write(bytes, 'latin1')
  })
}
