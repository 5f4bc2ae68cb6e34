// Workloads that open flows before the seal and use them under it: TCP and UDP, IPv4 and IPv6, out and in. Targets are
// `tcp:ADDRESS:PORT` or `udp:ADDRESS:PORT`, IPv6 in brackets. Node opens no raw, packet or vsock sockets: those are
// tried by other means.
import { createSocket } from 'node:dgram'
import { connect, createServer, isIPv6 } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { answerWell, type Behaviour, handOverFor, number, strings } from './behaviour.ts'

interface Flow {
  /** `open`, or why not. */
  state: string
  received: number
  send(text: string): void
  close(): void
}

const flows = new Map<string, Flow>()
const heard: string[] = []

/** Opens a flow and keeps it; resolves once it is open or failed, or after `waitMs`. */
async function hold(target: string, waitMs: number): Promise<void> {
  const [, kind, address, port] = /^(tcp|udp):(.+):(\d+)$/.exec(target) ?? []
  if (!kind || !address) throw new Error(`${target} is not tcp:ADDRESS:PORT or udp:ADDRESS:PORT`)
  const host = address.replace(/^\[|\]$/g, '')
  const opened = (kind === 'tcp' ? holdTcp : holdUdp)(target, host, Number(port))
  await Promise.race([opened, delay(waitMs)])
}

function holdTcp(target: string, host: string, port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, keepAlive: true })
    const flow = keep(
      target,
      (text) => socket.write(text),
      () => socket.destroy(),
    )
    socket.once('connect', () => resolve(settle(flow, 'open')))
    socket.on('data', (data) => {
      flow.received += data.length
    })
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(settle(flow, `failed: ${error.code}`)),
    )
    socket.on('end', () => settle(flow, 'ended'))
  })
}

function holdUdp(target: string, host: string, port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    const flow = keep(
      target,
      (text) => socket.send(text),
      () => socket.close(),
    )
    socket.on('message', (data) => {
      flow.received += data.length
    })
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(settle(flow, `failed: ${error.code}`)),
    )
    socket.connect(port, host, () => resolve(settle(flow, 'open')))
  })
}

function keep(target: string, send: Flow['send'], close: Flow['close']): Flow {
  flows.get(target)?.close()
  const flow = { state: 'opening', received: 0, send, close }
  flows.set(target, flow)
  return flow
}

function settle(flow: Flow, state: string): void {
  flow.state = state
}

function sendAll(text: string): void {
  for (const flow of flows.values())
    try {
      flow.send(text)
    } catch (error) {
      settle(flow, `failed: ${(error as NodeJS.ErrnoException).code}`)
    }
}

const report = (): Record<string, string> => ({
  ...Object.fromEntries(
    [...flows].map(([target, { state, received }]) => [
      `held_${target}`,
      `${state}, ${received} bytes received`,
    ]),
  ),
  ...(heard.length > 0 && { heard: heard.join(', ') }),
})

/** Opens what `HOLD` lists, at start: before any session. */
export async function holdAtStart(): Promise<void> {
  for (const target of (process.env.HOLD ?? '').split(',').filter(Boolean))
    await hold(target, 1_000)
}

export const SOCKETS: Readonly<Record<string, Behaviour>> = {
  /** Opens `targets` and keeps them beyond the answer. */
  async hold(call, options) {
    const wait = number(options, 'wait_ms', 1_000)
    await Promise.all(strings(options, 'targets').map((target) => hold(target, wait)))
    handOverFor(call)
    answerWell(call, report())
  },

  /** Sends `token` on all held flows, at once and then every `every_ms` for `for_ms`: past the end of the session. */
  async send(call, options) {
    const token = String(options.token ?? 'sent under seal')
    sendAll(token)
    const again = setInterval(() => sendAll(token), number(options, 'every_ms', 10))
    setTimeout(() => clearInterval(again), number(options, 'for_ms', 0)).unref()
    await delay(number(options, 'wait_ms', 50))
    handOverFor(call)
    answerWell(call, report())
  },

  /** What became of the held flows, and who called in. */
  held(call) {
    handOverFor(call)
    answerWell(call, report())
  },

  /** Accepts connections on `ports` and answers them; `held` lists who called. */
  async listen(call, options) {
    const ports = Array.isArray(options.ports) ? options.ports.map(Number) : []
    await Promise.all(ports.map(listen))
    handOverFor(call)
    answerWell(call, report())
  },
}

function listen(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      heard.push(`${port} from ${socket.remoteAddress}`)
      socket.on('error', () => socket.destroy())
      socket.end('hello')
    })
    server.once('error', reject)
    server.listen(port, resolve)
    server.unref()
  })
}
