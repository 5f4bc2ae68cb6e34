// Requests that two readers could take for different ones, and headers by which a stranger would speak as one of our
// own processes. What is answered is what the gateway itself decided; nothing of it reaches the log.
import { createHash, createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { craft } from '../support/craft.ts'
import { CHAT, statementOf, World } from '../support/instance.ts'
import { answersIn, firstAnswer, RawClient } from '../support/raw-http.ts'

let world: World
beforeAll(async () => {
  world = await World.start()
})
afterAll(() => world?.close())

const BODY = '{"model":"noop","messages":[]}'
const HEAD = [`POST ${CHAT} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/json']
const LENGTH = `Content-Length: ${BODY.length}`

/** What comes back for some bytes: the first answer, how many there were, and whether we were cut off. */
async function raw(lines: readonly string[], body = '') {
  const client = await RawClient.open(world.url)
  try {
    client.request(lines, body)
    const text = await client.until(/\r\n\r\n[\s\S]*\}|\r\n\r\n$/)
    return { ...firstAnswer(text), answers: answersIn(text), text }
  } finally {
    client.destroy()
  }
}

describe('a body whose end is in doubt', () => {
  test.each<[string, string[]]>([
    ['two lengths', [LENGTH, 'Content-Length: 5']],
    ['two equal lengths', [LENGTH, LENGTH]],
    ['a list of lengths', [`Content-Length: ${BODY.length}, ${BODY.length}`]],
    ['a length and chunks', [LENGTH, 'Transfer-Encoding: chunked']],
    ['chunks and a length', ['Transfer-Encoding: chunked', LENGTH]],
    ['a length with a sign', ['Content-Length: +31']],
    ['a length in hex', ['Content-Length: 0x1f']],
    ['a negative length', ['Content-Length: -1']],
    ['a coding after chunked', ['Transfer-Encoding: chunked, identity']],
    ['a name with a space before its colon', [`Content-Length : ${BODY.length}`]],
    ['a folded header', [LENGTH, 'X-Folded: a', ' b']],
    ['a bare line feed in a header', [LENGTH, 'X-Odd: a\nX-Smuggled: b']],
    ['a null byte in a header', [LENGTH, 'X-Odd: a\0b']],
  ])('%s: refused, nothing made', async (_, lines) => {
    const made = await world.leavesMadeBy(async () => {
      const answer = await raw([...HEAD, ...lines], BODY)
      expect(answer.status).toBe(400)
      expect(answer.answers).toBe(1)
      expect(answer.code).toBe('request.invalid')
    })
    expect(made).toBe(0)
  })

  test.each([
    ['chunks without a size', 'chunked', 'zz\r\n{}\r\n0\r\n\r\n'],
    ['chunks longer than they say', 'chunked', '2\r\n{}XX\r\n0\r\n\r\n'],
    ['chunks of a negative size', 'chunked', '-1\r\n\r\n'],
    ['an unknown coding', 'xchunked', BODY],
  ])('%s: refused or cut off, nothing made', async (_, coding, body) => {
    const made = await world.leavesMadeBy(async () => {
      const client = await RawClient.open(world.url)
      client.request([...HEAD, `Transfer-Encoding: ${coding}`], body)
      expect([0, 400]).toContain(firstAnswer(await client.ended()).status)
    })
    expect(made).toBe(0)
  })

  test('a client that sends less than it announced is not answered for what it did not send', async () => {
    const made = await world.leavesMadeBy(async () => {
      const client = await RawClient.open(world.url)
      client.request([...HEAD, `Content-Length: ${BODY.length + 1}`], BODY)
      client.destroy()
    })
    expect(made).toBe(0)
  })

  test('what follows a body is a request of its own', async () => {
    const made = await world.leavesMadeBy(async () => {
      const client = await RawClient.open(world.url)
      client.request([...HEAD, LENGTH], `${BODY}GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      const text = await client.until(/"ready":true/)
      expect(answersIn(text)).toBe(2)
      expect(firstAnswer(text).status).toBe(200)
      client.destroy()
    })
    expect(made).toBe(1)
  })
})

describe('a header too many', () => {
  test('more bytes or more fields than a request may have', async () => {
    const large = await raw([...HEAD, LENGTH, `X-Large: ${'x'.repeat(20_000)}`])
    expect([large.status, large.code]).toEqual([431, 'request.too_large'])
    const fields = Array.from({ length: 120 }, (_, i) => `X-${i}: y`)
    const many = await raw([...HEAD, LENGTH, ...fields], BODY)
    expect([many.status, many.code]).toEqual([431, 'request.too_large'])
  })

  test('a nonce that comes twice is none', async () => {
    const nonce = `Sealed-Nonce: ${'A'.repeat(43)}`
    const answer = await raw([...HEAD, LENGTH, nonce, nonce], BODY)
    expect([answer.status, answer.code]).toEqual([400, 'request.invalid'])
  })
})

describe('words that only our own processes say', () => {
  const INTERNAL = {
    'sealed-caller': 'root',
    'sealed-workload': 'other',
    'sealed-endpoint': '/v1/embeddings',
    'sealed-receipt-id': '0'.repeat(32),
    'sealed-receipt': 'AAAA',
    'sealed-salt': 'A'.repeat(43),
    'x-forwarded-for': '10.0.0.1',
    forwarded: 'for=10.0.0.1',
  }

  /** What a statement says of a caller: its name's digest under the session's salt. */
  const callerDigest = (salt: Uint8Array, name: string) =>
    createHmac('sha256', salt)
      .update(createHash('sha256').update(`caller\0${name}`).digest())
      .digest('hex')

  test('change nothing at the plain door', async () => {
    const reply = await world.chat('who am I', {}, { headers: INTERNAL })
    expect(reply.status).toBe(200)
    expect(reply.headers.get('sealed-receipt-id')).not.toBe(INTERNAL['sealed-receipt-id'])
    const salt = Buffer.from(reply.headers.get('sealed-salt')!, 'base64url')
    const received = statementOf(reply.receipt!, 'request.received')
    expect(received).toMatchObject({ workload: 'noop', endpoint: CHAT })
    expect(received.caller).toBe(callerDigest(salt, 'anonymous'))
    expect(received.caller).not.toBe(callerDigest(salt, 'root'))
  })

  test('change nothing at the envelope door', async () => {
    const { body } = await craft(world)
    const reply = await world.post(body, { headers: INTERNAL })
    expect(reply.status).toBe(200)
    const id = reply.headers.get('sealed-receipt-id')!
    expect(id).not.toBe(INTERNAL['sealed-receipt-id'])
    expect(statementOf(await world.receipt(id), 'request.received').workload).toBe('noop')
  })

  test('open no path that the gateway does not serve', async () => {
    for (const path of [
      '/sealed',
      '/plain',
      '/sessions',
      '/status',
      '/v1/sealed/../plain',
      '//plain',
    ]) {
      const answer = await raw([`POST ${path} HTTP/1.1`, 'Host: localhost', LENGTH], BODY)
      expect([answer.status, answer.code]).toEqual([404, 'request.not_found'])
    }
    const proxied = await raw([`POST http://relay/plain HTTP/1.1`, 'Host: relay', LENGTH], BODY)
    expect([proxied.status, proxied.code]).toEqual([404, 'request.not_found'])
  })
})

describe('a plain body that is not one', () => {
  const JSON_TYPE = { 'content-type': 'application/json' }
  test.each<[string, string, number, string]>([
    ['nothing', '', 400, 'request.invalid'],
    ['half of one', '{"model":"noop"', 400, 'request.invalid'],
    ['a list', '[]', 400, 'request.invalid'],
    ['no model', '{"messages":[]}', 400, 'request.invalid'],
    ['an unknown model', '{"model":"gpt"}', 404, 'workload.unknown'],
    ['a model that every object has', '{"model":"toString"}', 404, 'workload.unknown'],
    ['a stream that is neither', '{"model":"noop","stream":1}', 400, 'request.invalid'],
    ['too much', `{"model":"noop","x":"${'y'.repeat(1024 * 1024)}"}`, 413, 'request.too_large'],
  ])('%s', async (_, body, status, code) => {
    const made = await world.leavesMadeBy(async () => {
      const reply = await world.send(CHAT, body, { headers: JSON_TYPE })
      expect([reply.status, reply.code]).toEqual([status, code])
    })
    expect(made).toBe(0)
  })

  test('another type or coding', async () => {
    const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    expect((await world.send(CHAT, BODY, form)).code).toBe('request.unsupported')
    const zipped = { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } }
    expect((await world.send(CHAT, BODY, zipped)).code).toBe('request.unsupported')
  })
})
