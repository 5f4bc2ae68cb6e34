// Runs inside the outside host's namespace: answers TCP and UDP, and tells its parent all that came.
// It opens no connection of its own, and ends when its parent does.
import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

const [tcpPort, udpPort] = process.argv.slice(2).map(Number)
if (tcpPort === undefined || udpPort === undefined) throw new Error('usage: outside-host TCP UDP')

const tell = (event: unknown) => process.stdout.write(`${JSON.stringify(event)}\n`)
const address = (ip: string | undefined) => (ip ?? '').replace(/^::ffff:/, '')

const HTTP = /^(?:GET|HEAD|POST|PUT|OPTIONS) /
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\noutside\n'

function serve(socket: Socket) {
  const peer = address(socket.remoteAddress)
  tell({ arrival: `tcp ${peer} connected` })
  socket.on('data', (data) => {
    const text = data.toString('latin1')
    tell({ arrival: `tcp ${peer} ${text}` })
    socket.write(HTTP.test(text) ? ANSWER : data)
  })
  // A seal ends connections by reset: that is the expected case here.
  socket.on('error', () => undefined)
}

const tcp = createServer(serve)
const udp = createSocket({ type: 'udp6', ipv6Only: false })
udp.on('message', (data, from) => {
  tell({ arrival: `udp ${address(from.address)} ${data.toString('latin1')}` })
  udp.send(data, from.port, from.address)
})

await new Promise<void>((resolve) => tcp.listen(tcpPort, '::', resolve))
await new Promise<void>((resolve) => udp.bind(udpPort, '::', resolve))
tell({ ready: true })

// Two turns of the loop: whatever the kernel had for us when the question came is told before the answer.
createInterface({ input: process.stdin })
  .on('line', () => setImmediate(() => setImmediate(() => tell({ synced: true }))))
  .on('close', () => process.exit(0))
