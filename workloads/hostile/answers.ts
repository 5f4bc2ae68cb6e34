// Workloads whose HTTP is wrong: failures, lies about length and encoding, answers without end, answers to nobody.
// Activations are good in all of them.
import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { type Call, json } from '../server/openai-server.ts'
import { type Behaviour, handOverFor, number } from './behaviour.ts'

const BODY =
  '{"id":"chatcmpl-x","object":"chat.completion","created":0,"model":"hostile","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}'
const JSON_TYPE = { 'content-type': 'application/json' }

/** Writes bytes to the socket past Node's HTTP, then closes it unless `keep`. */
async function raw({ response }: Call, bytes: string, keep = false): Promise<void> {
  const { socket } = response
  await new Promise((resolve) => socket?.write(bytes, resolve))
  if (!keep) socket?.end()
}

const whole = (headers: string, body: string) => `HTTP/1.1 200 OK\r\n${headers}\r\n\r\n${body}`

const good = (behaviour: Behaviour): Behaviour => {
  return (call, options) => {
    handOverFor(call)
    return behaviour(call, options)
  }
}

const behaviours: Readonly<Record<string, Behaviour>> = {
  /** An OpenAI-shaped error with `status` (500). */
  status(call, options) {
    const status = number(options, 'status', 500)
    json(call.response, status, {
      error: { message: 'as asked', type: 'server_error', code: 'as_asked', param: null },
    })
  },

  'status-text'({ response }, options) {
    response.writeHead(number(options, 'status', 500), { 'content-type': 'text/plain' })
    response.end('Internal Server Error')
  },

  redirect({ response }) {
    response.writeHead(302, { location: 'http://198.18.0.1/' }).end()
  },

  /** Promises more bytes than it sends, then closes. */
  truncated: (call) =>
    raw(
      call,
      whole(
        `content-type: application/json\r\ncontent-length: ${BODY.length + 100}`,
        BODY.slice(0, -1),
      ),
    ),

  /** Sends more bytes than it promised. */
  overlong: (call) =>
    raw(
      call,
      whole(`content-type: application/json\r\ncontent-length: ${BODY.length}`, `${BODY}{}`),
    ),

  /** One answer, and a second that nobody asked for, on a connection that stays open. */
  'two-answers'(call) {
    const one = whole(`content-type: application/json\r\ncontent-length: ${BODY.length}`, BODY)
    return raw(call, one + one.replace('"ok"', '"no"'), true)
  },

  'not-http': (call) => raw(call, '\0\x01\x02 this is no HTTP\r\n\r\n'),

  'bad-chunk': (call) =>
    raw(
      call,
      whole('content-type: application/json\r\ntransfer-encoding: chunked', 'zz\r\n{}\r\n'),
    ),

  'not-json'({ response }) {
    response.writeHead(200, JSON_TYPE).end('{"id": "chatcmpl-x", ')
  },

  gzip({ response }) {
    response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(gzipSync(BODY))
  },

  'gzip-lie'({ response }) {
    response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(BODY)
  },

  /** Never ends, as fast as it is read. */
  async endless({ response, signal }) {
    response.writeHead(200, JSON_TYPE)
    response.write('{"x":"')
    const chunk = 'x'.repeat(16 * 1024)
    while (!signal.aborted)
      if (!response.write(chunk)) await Promise.race([once(response, 'drain'), gone(signal)])
  },

  /** Headers without end. */
  async 'endless-headers'({ response, signal }) {
    const { socket } = response
    socket?.write('HTTP/1.1 200 OK\r\n')
    while (!signal.aborted && socket)
      if (!socket.write(`x-${'y'.repeat(1000)}: z\r\n`))
        await Promise.race([once(socket, 'drain'), gone(signal)])
  },

  /** A good answer padded to `bytes` (64 MiB). */
  huge({ response }, options) {
    const padding = ' '.repeat(number(options, 'bytes', 64 * 1024 * 1024) - BODY.length)
    response.writeHead(200, JSON_TYPE).end(BODY + padding)
  },

  async informational(call) {
    await raw(call, 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(1000), true)
    call.response.writeHead(200, JSON_TYPE).end(BODY)
  },

  upgrade: (call) =>
    raw(call, 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello'),
}

const gone = (signal: AbortSignal): Promise<unknown> =>
  signal.aborted ? Promise.resolve() : once(signal, 'abort')

export const ANSWERS = Object.fromEntries(
  Object.entries(behaviours).map(([name, behaviour]) => [name, good(behaviour)]),
)
