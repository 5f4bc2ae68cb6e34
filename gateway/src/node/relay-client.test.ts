// Mutants: no pause above AHEAD_BYTES ("holds the relay back"); a closed socket taken for the end of an answer ("a relay
// that dies", three); `unsent` never true; the bound of a buffered answer, the form of a receipt, of a head or of an id not
// looked at ("is withheld"); `leave` without `destroy` ("takes the relay's request with it").
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { ENVELOPE_TYPE, type OutFrame, type RelayRequest } from '@sealed/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { abortedReceipt, chat, envelope, ID } from '../test-support/fakes.ts'
import {
  type Asked,
  askPlain,
  data,
  dial,
  failed,
  final,
  GOOD,
  giving,
  plainHead,
  postHead,
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

const sealed = (port: number) => postHead(port, '/v1/sealed', sealedBody, ENVELOPE_TYPE)

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
    let seen: Asked | undefined
    const { port } = await start({
      relay: (asked) => {
        seen = asked
        asked.send(SEALED_HEAD, data('frames'), final())
      },
    })
    const { bytes, whole } = await readBody(await sealed(port))
    expect([bytes.toString(), whole]).toEqual(['frames', true])
    expect(seen!.request).toEqual({ caller: 'anonymous', door: 'envelope' })
    expect(Buffer.from(seen!.body).toString()).toBe(sealedBody)
  })

  it('is the plain body with workload, endpoint and nonce; nothing else of the client’s', async () => {
    let seen: RelayRequest | undefined
    const { port } = await start({
      relay: ({ request, send }) => {
        seen = request
        send(...GOOD)
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
    expect(seen).toEqual({
      caller: 'anonymous',
      content_type: 'application/json',
      door: 'plain',
      endpoint: '/v1/chat/completions',
      nonce: 'A'.repeat(22),
      stream: false,
      workload: 'demo',
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
      relay: ({ socket, send }) => {
        came++
        open++
        socket.on('close', () => open--)
        if (head) send(path === '/v1/sealed' ? SEALED_HEAD : plainHead(), data('{'))
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
  const CHUNK = 'x'.repeat(64 * 1024)
  const TOTAL = 1_024
  const pour = async ({ socket, send }: Asked, sent: () => void) => {
    send(SEALED_HEAD)
    for (let i = 0; i < TOTAL; i++) {
      sent()
      if (!send(data(CHUNK))) await new Promise((resolve) => socket.once('drain', resolve))
    }
  }

  it('holds the relay back instead of filling the gateway, and gets everything', async () => {
    let sent = 0
    const { port } = await start({
      relay: async (asked) => {
        await pour(asked, () => sent++)
        asked.send(final())
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
    let upstream: Socket | undefined
    const { port } = await start({
      relay: (asked) => {
        upstream = asked.socket
        void pour(asked, () => sent++)
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
    let upstream: Socket | undefined
    const { port } = await start({
      relay: ({ socket, send }) => {
        upstream = socket
        send(SEALED_HEAD, data('some frames'))
      },
    })
    const incoming = await sealed(port)
    const { bytes, whole } = await readBody(incoming, () => upstream!.destroy())
    expect([bytes.toString(), whole]).toEqual(['some frames', false])
  })

  it.each<[string, OutFrame]>([
    ['an error', failed('{"error":{"code":"internal.error","message":"x"}}')],
    ['another head', SEALED_HEAD],
  ])('or says %s in the middle of a stream cuts the client off', async (_, frame) => {
    const { port } = await start({
      relay: giving(SEALED_HEAD, data('some frames'), frame, final()),
    })
    const { whole } = await readBody(await sealed(port))
    expect(whole).toBe(false)
  })

  it.each([
    ['before it answers', []],
    ['after a head', [plainHead()]],
    ['in the middle of a buffered answer', [plainHead(), data('{"a":1}')]],
  ])('%s leaves a session whose fate is unknown: not to be sent again', async (_, frames) => {
    const { port } = await start({
      relay: ({ socket, send }) => {
        send(...frames)
        socket.end()
      },
    })
    const response = await askPlain(port)
    expect(response.status).toBe(424)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(await response.json()).toMatchObject({ error: { code: 'session.aborted' } })
  })

  it('before it is asked leaves a request that may be sent again', async () => {
    const { port, relay } = await start({})
    await relay.close()
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
  it('may have a receipt of 16 KB, and of the largest size', async () => {
    for (const size of [16 * 1024, 65_536]) {
      const receipt = 'A'.repeat(size)
      const { port } = await start({ relay: giving(plainHead(), data('{"a":1}'), final(receipt)) })
      const response = await askPlain(port)
      expect(await response.json()).toEqual({ a: 1, receipt })
      await world!.stop()
      world = undefined
    }
  })

  it.each<[string, OutFrame[]]>([
    ['no receipt', [plainHead(), data('secret'), final()]],
    ['a receipt that is no base64url', [plainHead(), data('secret'), final('a"b')]],
    ['too long a receipt', [plainHead(), data('secret'), final('A'.repeat(65_537))]],
    ['no head', [data('secret'), final('cmVj')]],
    ['two heads', [plainHead(), plainHead(), data('secret'), final('cmVj')]],
    ['no id', [plainHead({ session: '' }), data('secret'), final('cmVj')]],
    ['a malformed id', [plainHead({ session: '../x' }), data('secret'), final('cmVj')]],
    ['a short salt', [plainHead({ salt: 'AAAA' }), data('secret'), final('cmVj')]],
    ['an unknown member', [plainHead({ other: 1 }), data('secret'), final('cmVj')]],
    [
      'more than its bound',
      [plainHead(), ...Array(17).fill(data('x'.repeat(65_536))), final('cmVj')],
    ],
    ['a frame of the gateway’s', [plainHead(), ['body', Buffer.from('secret')], final('cmVj')]],
  ])('is withheld with %s', async (_, frames) => {
    const { port } = await start({ relay: giving(...frames) })
    const response = await askPlain(port)
    expect(response.status).toBe(424)
    const text = await response.text()
    expect(text).toContain('session.aborted')
    expect(text).not.toContain('secret')
  })

  it('is an error where it says so, and a workload’s answer where it only looks like one', async () => {
    const error = { code: 'queue.full', message: 'full', retry_after_ms: 1_500 }
    const said = JSON.stringify({ error })
    let frames = [failed(said)]
    const { port } = await start({ relay: ({ send }) => send(...frames) })
    const refused = await askPlain(port)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await refused.json()).toMatchObject({ error: { code: 'queue.full' } })
    frames = [plainHead({ status: 503 }), data(said), final('cmVj')]
    const answered = await askPlain(port)
    expect([answered.status, answered.headers.get('sealed-workload-status')]).toEqual([424, '503'])
    expect(answered.headers.has('retry-after')).toBe(false)
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
    const { port } = await start({ relay: giving(failed(body)) })
    const response = await askPlain(port)
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
    const { port } = await start({ relay: giving(failed(JSON.stringify({ error }))) })
    const response = await askPlain(port)
    expect([response.status, response.headers.get('sealed-receipt-id')]).toEqual([424, ID])
    expect(await response.json()).toMatchObject({ receipt: abortedReceipt })
  })
})
