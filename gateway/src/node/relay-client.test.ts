import type { IncomingMessage, ServerResponse } from 'node:http'
import { ENVELOPE_TYPE, RPC_ERROR_TYPE } from '@sealed/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { abortedReceipt, chat, envelope, ID, SALT } from '../test-support/fakes.ts'
import {
  dial,
  postHead,
  readToEnd,
  SEALED_HEAD,
  settled,
  startWorld,
  until,
  type World,
  type WorldOptions,
} from '../test-support/node-world.ts'

const CLIENTS = 40
const { body: sealedBody } = await envelope(Date.now())

let world: World | undefined
afterEach(async () => {
  const { reported } = world ?? { reported: [] }
  await world?.stop()
  world = undefined
  expect(reported).toEqual([])
})
const start = async (options: WorldOptions) => {
  world = await startWorld(options)
  return world
}

const plain = (port: number) =>
  fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    body: chat(),
    headers: { 'content-type': 'application/json' },
  })
const sealed = (port: number) => postHead(port, '/v1/sealed', sealedBody, ENVELOPE_TYPE)
const receipted = (receipt: string) => ({
  'content-type': 'application/json',
  'sealed-receipt-id': ID,
  'sealed-salt': SALT,
  'sealed-receipt': receipt,
})

/** Reads an answer's body; `whole` only when it came to a proper end. */
function readBody(
  incoming: IncomingMessage,
  onPart = () => {},
): Promise<{ bytes: Buffer; whole: boolean }> {
  const parts: Buffer[] = []
  return new Promise((resolve) => {
    incoming.on('error', () => {})
    incoming.on('close', () => resolve({ bytes: Buffer.concat(parts), whole: incoming.complete }))
    incoming.on('data', (part: Buffer) => {
      parts.push(part)
      onPart()
    })
  })
}

describe('what the relay is asked', () => {
  it('is the envelope as received, and the caller', async () => {
    let seen = ''
    let caller: unknown
    const { port } = await start({
      relay: async (request, response) => {
        caller = request.headers['sealed-caller']
        for await (const part of request) seen += part
        response.writeHead(200, SEALED_HEAD)
        response.end('frames')
      },
    })
    const { bytes, whole } = await readBody(await sealed(port))
    expect([bytes.toString(), whole, caller]).toEqual(['frames', true, 'anonymous'])
    expect(seen).toBe(sealedBody)
  })

  it('is the plain body with workload, endpoint and nonce; nothing else of the client’s', async () => {
    let headers: IncomingMessage['headers'] = {}
    const { port } = await start({
      relay: (request, response) => {
        headers = request.headers
        response.writeHead(200, receipted('cmVj')).end('{"a":1}')
      },
    })
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST',
      body: chat(),
      headers: {
        'content-type': 'application/json',
        'sealed-nonce': 'A'.repeat(22),
        'sealed-caller': 'root',
        'sealed-workload': 'other',
        authorization: 'Bearer sk-x',
        cookie: 'a=b',
      },
    })
    expect(await response.text()).toBe('{"a":1,"receipt":"cmVj"}')
    expect(headers).toEqual({
      host: 'localhost',
      connection: 'keep-alive',
      'content-type': 'application/json',
      'content-length': String(chat().length),
      'sealed-caller': 'anonymous',
      'sealed-workload': 'demo',
      'sealed-endpoint': '/v1/chat/completions',
      'sealed-nonce': 'A'.repeat(22),
    })
  })
})

describe('a client that goes', () => {
  it.each([
    ['while the relay is silent', '/v1/sealed', false],
    ['in the middle of the stream', '/v1/sealed', true],
    ['while a buffered answer is made', '/v1/chat/completions', false],
    ['in the middle of a buffered answer', '/v1/chat/completions', true],
  ])('takes the relay’s request with it: %s, 40 of 40', async (_, path, head) => {
    let open = 0
    let came = 0
    const { port } = await start({
      relay: (request, response) => {
        came++
        open++
        response.on('close', () => open--)
        request.resume()
        if (!head) return
        const type = path === '/v1/sealed' ? SEALED_HEAD : receipted('cmVj')
        response.writeHead(200, type).write('{')
      },
    })
    const [body, type] =
      path === '/v1/sealed' ? [sealedBody, ENVELOPE_TYPE] : [chat(), 'application/json']
    const sockets = await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        const socket = await dial(port)
        socket.on('error', () => {})
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n` +
            `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        )
        return socket
      }),
    )
    await until(() => came === CLIENTS)
    for (const socket of sockets) socket.destroy()
    await until(() => open === 0)
  })
})

describe('a client that reads slowly', () => {
  const CHUNK = Buffer.alloc(256 * 1024, 'x')
  const TOTAL = 256

  it('holds the relay back instead of filling the gateway, and gets everything', async () => {
    let sent = 0
    const { port } = await start({
      relay: async (request, response) => {
        request.resume()
        response.writeHead(200, SEALED_HEAD)
        for (; sent < TOTAL; sent++)
          if (!response.write(CHUNK))
            await new Promise((resolve) => response.once('drain', resolve))
        response.end()
      },
    })
    const incoming = await sealed(port)
    const stalledAt = await settled(() => sent)
    expect(stalledAt).toBeLessThan(TOTAL / 2)
    const { bytes, whole } = await readBody(incoming)
    expect([bytes.length, whole]).toEqual([TOTAL * CHUNK.length, true])
  })

  it('sees a cut, never an end, when the relay dies meanwhile', async () => {
    let sent = 0
    let upstream: ServerResponse | undefined
    const { port } = await start({
      relay: async (request, response) => {
        upstream = response
        request.resume()
        response.writeHead(200, SEALED_HEAD)
        for (; sent < TOTAL; sent++)
          if (!response.write(CHUNK))
            await new Promise((resolve) => response.once('drain', resolve))
      },
    })
    const incoming = await sealed(port)
    await settled(() => sent)
    upstream!.destroy()
    const { bytes, whole } = await readBody(incoming)
    expect(whole).toBe(false)
    expect(bytes.includes('Error')).toBe(false)
  })
})

describe('a relay that dies', () => {
  it('in the middle of a stream cuts the client off', async () => {
    let upstream: ServerResponse | undefined
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        upstream = response
        response.writeHead(200, SEALED_HEAD)
        response.write('some frames')
      },
    })
    const incoming = await sealed(port)
    const { bytes, whole } = await readBody(incoming, () => upstream!.destroy())
    expect([bytes.toString(), whole]).toEqual(['some frames', false])
  })

  it.each([
    ['before it answers', (response: ServerResponse) => response.destroy()],
    [
      'in the middle of a buffered answer',
      (response: ServerResponse) => {
        response.writeHead(200, { ...receipted('cmVj'), 'content-length': 100 })
        response.write('{"a":1}', () => response.destroy())
      },
    ],
  ])('%s leaves a session whose fate is unknown: not to be sent again', async (_, die) => {
    const { port } = await start({
      relay: (request, response) => request.resume().on('end', () => die(response)),
    })
    const response = await plain(port)
    expect(response.status).toBe(424)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(await response.json()).toMatchObject({ error: { code: 'session.aborted' } })
  })

  it('before it is asked leaves a request that may be sent again', async () => {
    const { port, relay } = await start({})
    await new Promise((resolve) => relay.close(resolve))
    for (const [path, body, type] of [
      ['/v1/chat/completions', chat(), 'application/json'],
      ['/v1/sealed', sealedBody, ENVELOPE_TYPE],
    ] as const) {
      const response = await postHead(port, path, body, type)
      expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1'])
      response.resume()
    }
  })
})

describe('what the relay answers', () => {
  it('may have a receipt of 16 KB, and of the largest size, in its header', async () => {
    for (const size of [16 * 1024, 65_536]) {
      const receipt = 'A'.repeat(size)
      const { port } = await start({
        relay: (request, response) => {
          request.resume()
          response.writeHead(200, receipted(receipt)).end('{"a":1}')
        },
      })
      const response = await plain(port)
      expect(await response.json()).toEqual({ a: 1, receipt })
      await world!.stop()
      world = undefined
    }
  })

  it.each([
    ['no receipt', { 'sealed-receipt': '' }],
    ['a receipt that is no base64url', { 'sealed-receipt': 'a"b' }],
    ['a receipt twice', { 'sealed-receipt': ['cmVj', 'cmVj'] }],
    ['no id', { 'sealed-receipt-id': '' }],
    ['a malformed id', { 'sealed-receipt-id': '../x' }],
    ['a short salt', { 'sealed-salt': 'AAAA' }],
  ])('is withheld with %s', async (_, headers) => {
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        response.writeHead(200, { ...receipted('cmVj'), ...headers }).end('{"secret":1}')
      },
    })
    const response = await plain(port)
    expect(response.status).toBe(424)
    expect(await response.text()).not.toContain('secret')
  })

  it('is withheld above its bound', async () => {
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        response.writeHead(200, receipted('cmVj')).end(`"${'x'.repeat(1024 * 1024)}"`)
      },
    })
    expect((await plain(port)).status).toBe(424)
  })

  it('is an error where it says so, and a workload’s answer where it only looks like one', async () => {
    const error = { code: 'queue.full', message: 'full', retry_after_ms: 1_500 }
    let headers: Record<string, string> = {
      'content-type': RPC_ERROR_TYPE,
      'sealed-receipt-id': ID,
    }
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        response.writeHead(503, headers).end(JSON.stringify({ error }))
      },
    })
    const refused = await plain(port)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await refused.json()).toMatchObject({ error: { code: 'queue.full' } })
    for (const type of ['application/json', RPC_ERROR_TYPE]) {
      headers = { ...receipted('cmVj'), 'content-type': type }
      const answered = await plain(port)
      expect([answered.status, answered.headers.get('sealed-workload-status')]).toEqual([
        424,
        '503',
      ])
      expect(answered.headers.has('retry-after')).toBe(false)
    }
  })

  it.each([
    [
      'with a code that nobody knows',
      JSON.stringify({ error: { code: 'new.code', message: 'x' } }),
    ],
    ['that is no JSON', '<html>secret</html>'],
    ['with an unknown member', '{"error":{"code":"queue.full","message":"x","a":1}}'],
    ['that is empty', ''],
  ])('as an error %s is one of ours, and not to be sent again', async (_, body) => {
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        response.writeHead(500, { 'content-type': RPC_ERROR_TYPE }).end(body)
      },
    })
    const response = await plain(port)
    const text = await response.text()
    expect(response.status).toBe(424)
    expect(text).toContain('internal.error')
    expect(text).not.toContain('secret')
    const head = await sealed(port)
    expect(head.statusCode).toBe(424)
    head.resume()
  })

  it('as an error carries the receipt of the session that it ended', async () => {
    const error = { code: 'workload.timeout', message: 'too slow', receipt: abortedReceipt }
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        response.writeHead(500, { 'content-type': RPC_ERROR_TYPE })
        response.end(JSON.stringify({ error }))
      },
    })
    const response = await plain(port)
    expect([response.status, response.headers.get('sealed-receipt-id')]).toEqual([424, ID])
    expect(await response.json()).toMatchObject({ receipt: abortedReceipt })
  })
})

describe('one connection', () => {
  it('serves many requests, one after another', async () => {
    const { port } = await start({
      relay: (request, response) => {
        request.resume()
        response.writeHead(200, receipted('cmVj')).end('{"a":1}')
      },
    })
    const socket = await dial(port)
    const text = readToEnd(socket)
    const body = chat()
    const head = (connection: string) =>
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: ${connection}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    socket.write(head('keep-alive') + head('keep-alive') + head('close'))
    expect((await text).match(/"receipt":"cmVj"\}/g)).toHaveLength(3)
  })
})
