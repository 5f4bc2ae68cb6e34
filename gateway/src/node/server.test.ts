import { once } from 'node:events'
import { ENVELOPE_TYPE } from '@sealed/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { chat, envelope } from '../test-support/fakes.ts'
import {
  type Asked,
  data,
  dial,
  exchange,
  final,
  plainHead,
  postHead,
  readToEnd,
  SEALED_HEAD,
  startWorld,
  until,
  type World,
  type WorldOptions,
} from '../test-support/node-world.ts'

let world: World | undefined
afterEach(async () => {
  const { reported } = world ?? { reported: [] }
  await world?.stop()
  world = undefined
  expect(reported).toEqual([])
})
const start = async (options: WorldOptions = {}) => {
  world = await startWorld(options)
  return world
}

const { body: sealedBody } = await envelope(Date.now())
const PLAIN = 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
const HEALTH = 'GET /health HTTP/1.1\r\nhost: x\r\n'
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])

describe('odd requests', () => {
  it.each([
    [
      'length and chunks at once',
      `${PLAIN}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['two lengths', `${PLAIN}content-length: 4\r\ncontent-length: 5\r\n\r\n{}{}x`],
    ['two lengths in one', `${PLAIN}content-length: 4, 5\r\n\r\n{}{}x`],
    ['a signed length', `${PLAIN}content-length: +4\r\n\r\n{}{}`],
    ['chunks under another name', `${PLAIN}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['chunks that are not last', `${PLAIN}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    ['a space before the colon', `${PLAIN}content-length : 4\r\n\r\n{}{}`],
    ['a folded header', `${HEALTH}x-a: 1\r\n  2\r\n\r\n`],
    ['a bare line feed', `${HEALTH}x-a: 1\nx-b: 2\r\n\r\n`],
    ['a NUL in a header', `${HEALTH}x-a: \0\r\n\r\n`],
    [
      'a malformed chunk size',
      `${PLAIN}transfer-encoding: chunked\r\n\r\n0x4\r\n{}{}\r\n0\r\n\r\n`,
    ],
    ['no host', 'GET /health HTTP/1.1\r\n\r\n'],
    ['a host with a path', 'GET /health HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('with %s are refused, and reach no one', async (_, text) => {
    let asked = 0
    const { port } = await start({ relay: () => asked++ })
    const answer = await exchange(port, text)
    // A request whose head was well-formed and whose body was not is cut off without an answer.
    if (answer !== '') expect(statusOf(answer)).toBe(400)
    expect(answer).not.toContain(' 200 ')
    expect(asked).toBe(0)
  })

  it('are told apart: what follows a body is a request of its own', async () => {
    const { port } = await start()
    const answer = await exchange(
      port,
      `${PLAIN}content-length: 2\r\n\r\n{}GET /smuggled HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
    )
    expect(answer.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 404'])
  })

  it('get an error in OpenAI’s shape where Node’s parser refuses them', async () => {
    const { port } = await start()
    const answer = await exchange(port, 'GET / HTTP/1.1\r\nx y: 1\r\n\r\n')
    expect(answer).toContain('x-request-id: ')
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))).toEqual({
      error: {
        message: 'this is not valid HTTP/1.1',
        type: 'invalid_request_error',
        code: 'request.invalid',
        param: null,
      },
    })
  })

  it('with too large a header get 431', async () => {
    const { port } = await start()
    const long = await exchange(port, `${HEALTH}x-a: ${'a'.repeat(17 * 1024)}\r\n\r\n`)
    expect(statusOf(long)).toBe(431)
    const many = Array.from({ length: 101 }, (_, i) => `x-${i}: 1\r\n`).join('')
    expect(statusOf(await exchange(port, `${HEALTH}${many}\r\n`))).toBe(431)
    const enough = `${HEALTH}connection: close\r\n${many.split('\r\n').slice(0, 98).join('\r\n')}\r\n\r\n`
    expect(statusOf(await exchange(port, enough))).toBe(200)
  })

  it('with an absolute URL or dots in the path are served by what that path is', async () => {
    const { port } = await start()
    const ask = (target: string) =>
      exchange(port, `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
    expect(statusOf(await ask('http://elsewhere.example/health'))).toBe(200)
    expect(statusOf(await ask('/v1/../health'))).toBe(200)
    expect(statusOf(await ask('/v1\\..\\health'))).toBe(400)
    expect(statusOf(await ask('//health'))).toBe(404)
  })
})

describe('a body that is too large', () => {
  it('gets 413 at once by its declared length', async () => {
    const { port } = await start()
    const socket = await dial(port)
    const answer = readToEnd(socket)
    socket.write(`${PLAIN}content-length: 1048577\r\n\r\n{`)
    expect(statusOf(await answer)).toBe(413)
  })

  it('gets 413 in chunks as soon as the limit is passed, however much is still to come', async () => {
    const { port } = await start()
    const socket = await dial(port)
    const answer = readToEnd(socket)
    socket.write(`${PLAIN}transfer-encoding: chunked\r\n\r\n`)
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    for (let i = 0; i < 17; i++) socket.write(chunk)
    const text = await answer
    expect(statusOf(text)).toBe(413)
    expect(text).toContain('request.too_large')
  })
})

describe('slow requests', () => {
  const server = { headersMs: 200, requestMs: 200, checkMs: 20 }

  it('are cut, in the header and in the body, and give their slot back', async () => {
    let asked = 0
    const { port } = await start({ server, limits: { callerRequests: 1 }, relay: () => asked++ })
    expect(statusOf(await exchange(port, 'POST /v1/sealed HTTP/1.1\r\nhost:'))).toBe(408)
    expect(await exchange(port, `${PLAIN}content-length: 10\r\n\r\n{`)).toBe('')
    expect(await exchange(port, `${PLAIN}transfer-encoding: chunked\r\n\r\n5\r\n{`)).toBe('')
    const models = await fetch(`http://127.0.0.1:${port}/v1/models`)
    expect([models.status, asked]).toEqual([200, 0])
    await models.arrayBuffer()
  })

  it('are no reason to cut an answer that takes longer than a request may', async () => {
    let finish = () => {}
    const { port } = await start({
      server,
      relay: ({ send }) => {
        send(SEALED_HEAD, data('first '))
        finish = () => send(data('last'), final())
      },
    })
    const incoming = await postHead(port, '/v1/sealed', sealedBody, ENVELOPE_TYPE)
    let text = ''
    incoming.on('data', (part) => {
      text += part
    })
    // The clock of this test: a later request that is cut for being slow.
    expect(await exchange(port, `${PLAIN}content-length: 10\r\n\r\n{`)).toBe('')
    finish()
    await once(incoming, 'end')
    expect([text, incoming.complete]).toEqual(['first last', true])
  })
})

describe('clients that break their upload off', () => {
  it('do no harm, 64 at a time', async () => {
    let asked = 0
    const { port } = await start({ relay: () => asked++ })
    for (let round = 0; round < 4; round++) {
      const sockets = await Promise.all(Array.from({ length: 64 }, () => dial(port)))
      for (const [i, socket] of sockets.entries()) {
        socket.on('error', () => {})
        socket.write(`${PLAIN}content-length: 100000\r\n\r\n${'x'.repeat(i * 100)}`)
      }
      const closed = sockets.map((socket) => once(socket, 'close'))
      for (const socket of sockets) socket.resetAndDestroy()
      await Promise.all(closed)
    }
    const slots = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/v1/models`)
      await response.arrayBuffer()
      return response.status
    }
    while ((await slots()) !== 200);
    expect(asked).toBe(0)
  })
})

describe('closing', () => {
  it('lets a request under way end, takes no new one, and closes idle connections', async () => {
    let finish = () => {}
    let came = false
    const running = await start({
      relay: ({ send }) => {
        came = true
        finish = () => send(plainHead(), data('{"a":1}'), final('cmVj'))
      },
    })
    const idle = await dial(running.port)
    const idleEnd = readToEnd(idle)
    const busy = await dial(running.port)
    const answer = readToEnd(busy)
    busy.write(`${PLAIN}content-length: ${chat().length}\r\n\r\n${chat()}`)
    await until(() => came)
    const closed = running.closeGateway(60_000)
    expect(await idleEnd).toBe('')
    await expect(dial(running.port)).rejects.toThrow('ECONNREFUSED')
    finish()
    expect(await answer).toContain('{"a":1,"receipt":"cmVj"}')
    await closed
  })

  it('lets a stream under way go on and end, whole', async () => {
    let stream: Asked | undefined
    const running = await start({
      relay: (asked) => {
        stream = asked
        stream.send(SEALED_HEAD, data('first '))
      },
    })
    const incoming = await postHead(running.port, '/v1/sealed', sealedBody, ENVELOPE_TYPE)
    let text = ''
    incoming.on('data', (part: Buffer) => {
      text += part.toString()
    })
    await until(() => text === 'first ')
    let closed = false
    const closing = running.closeGateway(60_000).then(() => {
      closed = true
    })
    for (const part of ['second ', 'third ']) {
      stream!.send(data(part))
      await until(() => text.endsWith(part))
      expect(closed).toBe(false)
    }
    stream!.send(data('last'), final())
    await once(incoming, 'close')
    expect([text, incoming.complete]).toEqual(['first second third last', true])
    await closing
  })

  it('cuts what does not end in time', async () => {
    let came = false
    const running = await start({
      relay: () => {
        came = true
      },
    })
    const busy = await dial(running.port)
    const answer = readToEnd(busy)
    busy.write(`${PLAIN}content-length: ${chat().length}\r\n\r\n${chat()}`)
    await until(() => came)
    await running.closeGateway(0)
    expect(await answer).toBe('')
  })
})
