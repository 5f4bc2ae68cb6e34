// Envelopes that are malformed: truncated, oversized, with a member twice, unknown or missing, not canonical, or of
// another version. Each is refused by its form, before any key is used.
// Mutants: `v.strictObject` of `envelopeSchema` or `headerSchema` as `v.object` turns "an unknown member" red; without
// the comparison in `parseCanonical` "twice", "white space" and "order" are red; without the version check in
// `parseHeader` "version" is.
import { toBase64url, utf8 } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assemble, type Crafted, type Recipe } from '../support/craft.ts'
import { World } from '../support/instance.ts'
import { firstAnswer, RawClient } from '../support/raw-http.ts'
import { expectRefusal, Refusals } from '../support/refusals.ts'

let world: World
const refusals = new Refusals(() => world)
beforeAll(async () => {
  world = await World.start()
  await refusals.begin()
})
afterAll(() => world?.close())

const INVALID = { status: 400, code: 'envelope.invalid' }
const VERSION = { status: 400, code: 'envelope.version', param: 'version' }

/** The envelope's text with one more member, spliced in at the front, unsorted members allowed. */
const prefixed = (text: string, member: string) => `{${member},${text.slice(1)}`
const reheader = (good: Crafted, text: string | Uint8Array) =>
  assemble({
    ...good.parts,
    header: toBase64url(typeof text === 'string' ? utf8(text) : text),
  })

describe('an envelope that is cut', () => {
  test.each([0, 1, 10, 100, 1000, -1000, -100, -2, -1])('after %i bytes', async (at) => {
    await refusals.expect((good) => good.body.slice(0, at), INVALID)
  })

  test.each([
    ['header', 'envelope.invalid'],
    ['input_keys', 'envelope.key_mismatch'],
    ['action_keys', 'envelope.key_mismatch'],
    ['input', 'envelope.digest_mismatch'],
    ['instructions', 'envelope.digest_mismatch'],
  ] as const)('inside %s', async (part, code) => {
    const cut = (good: Crafted) =>
      assemble({ ...good.parts, [part]: good.parts[part].slice(0, -4) })
    await refusals.expect(cut, { status: 400, code })
  })

  test('inside an input that the header names as it is', async () => {
    for (const cut of [4, 64, 1])
      await refusals.expect(
        { inputToken: (token) => token.slice(0, -cut) || 'A' },
        { status: 400, code: 'fernet.invalid' },
      )
  })
})

describe('an envelope that is too large', () => {
  const TOO_LARGE = { status: 413, code: 'envelope.too_large' }
  const head = (length: string) => [
    'POST /v1/sealed HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/vnd.sealed-request+json',
    length,
  ]

  test('is refused by its declared length, before a byte of it is read', async () => {
    const client = await RawClient.open(world.url)
    client.request(head(`Content-Length: ${24 * 1024 * 1024 + 1}`))
    expect(firstAnswer(await client.until(/\}\}/))).toEqual(TOO_LARGE)
    client.destroy()
  })

  test('is refused by what really came, where no length was declared', async () => {
    const client = await RawClient.open(world.url)
    client.request(head('Transfer-Encoding: chunked'))
    const chunk = ' '.repeat(1024 * 1024)
    for (let i = 0; i < 24; i++) client.write(`100000\r\n${chunk}\r\n`)
    client.write('1\r\n \r\n')
    expect(firstAnswer(await client.until(/\}\}/))).toEqual(TOO_LARGE)
    client.destroy()
  })

  test.each<[string, (good: Crafted) => string]>([
    ['header', (good) => reheader(good, good.headerText.padEnd(5000, ' '))],
    ['instructions', (good) => assemble({ ...good.parts, instructions: 'A'.repeat(8193) })],
    ['wrapped input keys', (good) => assemble({ ...good.parts, input_keys: 'A'.repeat(684) })],
    ['wrapped action key', (good) => assemble({ ...good.parts, action_keys: 'A'.repeat(684) })],
  ])('in its %s alone', async (_, make) => {
    await refusals.expect(make, INVALID)
  })
})

describe('a member twice', () => {
  test.each(['header', 'input', 'instructions', 'keys'])('%s of the envelope', async (name) => {
    const twice = (good: Crafted) => {
      const value = (JSON.parse(good.body) as Record<string, unknown>)[name]
      return good.body.replace(`"${name}":`, `"${name}":${JSON.stringify(value)},"${name}":`)
    }
    await refusals.expect(twice, INVALID)
  })

  test.each(['nonce', 'workload', 'key_id', 'issued_ms', 'expect', 'version'])(
    '%s of the header',
    async (name) => {
      const headerText = (text: string) => {
        const value = (JSON.parse(text) as Record<string, unknown>)[name]
        return text.replace(`"${name}":`, `"${name}":${JSON.stringify(value)},"${name}":`)
      }
      await refusals.expect({ headerText }, INVALID)
    },
  )

  test('in the wrapped keys and in expect', async () => {
    await refusals.expect(
      (good) => good.body.replace('"keys":{', '"keys":{"action":"AA",'),
      INVALID,
    )
    const headerText = (text: string) => text.replace('"expect":{', '"expect":{"key_set":"00",')
    await refusals.expect({ headerText }, INVALID)
  })
})

describe('an unknown member', () => {
  test.each<[string, Recipe | ((good: Crafted) => string)]>([
    ['of the envelope', (good) => prefixed(good.body, '"extra":1')],
    ['of the wrapped keys', (good) => good.body.replace('"keys":{', '"keys":{"a":"AA",')],
    ['of the header', { header: (header) => ({ ...header, admin: true }) }],
    ['of expect', { header: (header) => ({ ...header, expect: { ...header.expect, a: 1 } }) }],
    ['called __proto__', (good) => prefixed(good.body, '"__proto__":{"x":1}')],
    ['called constructor', { header: (header) => ({ ...header, constructor: 'x' }) }],
  ])('%s', async (_, make) => {
    await refusals.expect(make, INVALID)
  })
})

describe('another version', () => {
  test.each([0, 2, -1, '1', null, true])('%j', async (version) => {
    await refusals.expect({ header: (header) => ({ ...header, version }) }, VERSION)
  })

  test('or none, or another suite', async () => {
    await refusals.expect({ header: ({ version: _, ...rest }) => rest }, INVALID)
    for (const suite of ['rsa-oaep-1/fernet', 'none', ''])
      await refusals.expect({ header: (header) => ({ ...header, suite }) }, INVALID)
  })
})

describe('a missing or malformed member', () => {
  test.each(['header', 'input', 'instructions', 'keys'])('no %s', async (name) => {
    const without = (good: Crafted) => {
      const { [name]: _, ...rest } = JSON.parse(good.body) as Record<string, unknown>
      return JSON.stringify(rest)
    }
    await refusals.expect(without, INVALID)
  })

  test.each<[string, Record<string, unknown>]>([
    ['a nonce of 31 bytes', { nonce: 'A'.repeat(42) }],
    ['a nonce with stray bits', { nonce: `${'A'.repeat(42)}B` }],
    ['a nonce that is a list', { nonce: ['A'.repeat(43)] }],
    ['a time that is text', { issued_ms: '0' }],
    ['a time before 1970', { issued_ms: -1 }],
    ['a path with dots', { endpoint: '/v1/../admin' }],
    ['a path with a line break', { endpoint: '/v1/chat\r\nx: y' }],
    ['a URL', { endpoint: 'http://169.254.169.254/' }],
    ['a workload with a slash', { workload: '../noop' }],
    ['stream that is no boolean', { stream: 0 }],
  ])('%s', async (_, change) => {
    await refusals.expect({ header: (header) => ({ ...header, ...change }) }, INVALID)
  })
})

describe('another spelling of the same values', () => {
  test.each<[string, Recipe | ((good: Crafted) => string | Uint8Array)]>([
    ['white space', (good) => good.body.replace(',', ', ')],
    ['white space in the header', { headerText: (text) => text.replace(':', ': ') }],
    ['order', (good) => JSON.stringify({ ...good.parts })],
    ['an escape', (good) => good.body.replace('"header"', '"\\u0068eader"')],
    ['a float', { headerText: (text) => text.replace('"version":1', '"version":1.0') }],
    ['an exponent', { headerText: (text) => text.replace('"version":1', '"version":1e0') }],
    ['a byte order mark', (good) => `\ufeff${good.body}`],
    ['bytes after the end', (good) => `${good.body}\n`],
    ['no UTF-8', (good) => Uint8Array.of(...utf8(good.body.slice(0, -1)), 0xff, 0x7d)],
    [
      'padded base64url',
      (good) => assemble({ ...good.parts, input_keys: `${good.parts.input_keys}=` }),
    ],
    [
      'base64',
      (good) => assemble({ ...good.parts, input_keys: `+${good.parts.input_keys.slice(1)}` }),
    ],
    ['a list around it', (good) => `[${good.body}]`],
    ['null', () => 'null'],
    ['text', (good) => JSON.stringify(good.body)],
  ])('%s', async (_, make) => {
    await refusals.expect(make, INVALID)
  })
})

describe('what the embassy does not do', () => {
  test('other workloads, other endpoints', async () => {
    const change = (members: Record<string, unknown>): Recipe => ({
      header: (header) => ({ ...header, ...members }),
    })
    await refusals.expect(change({ workload: 'other' }), {
      status: 404,
      code: 'workload.unknown',
      param: 'workload',
    })
    await refusals.expect(change({ endpoint: '/v1/embeddings' }), {
      status: 404,
      code: 'endpoint.unknown',
      param: 'endpoint',
    })
  })

  test('another type, another method, a compressed body', async () => {
    const body = '{}'
    const typed = { headers: { 'content-type': 'application/json' } }
    expectRefusal(await world.post(body, typed), { status: 415, code: 'request.unsupported' })
    const zipped = { headers: { 'content-encoding': 'gzip' } }
    expectRefusal(await world.post(body, zipped), { status: 415, code: 'request.unsupported' })
    for (const method of ['GET', 'DELETE'])
      expectRefusal(await world.send('/v1/sealed', undefined, { method }), {
        status: 405,
        code: 'request.method',
      })
    expectRefusal(await world.post(body, { method: 'PUT' }), {
      status: 405,
      code: 'request.method',
    })
  })
})

refusals.leaveNothing()
