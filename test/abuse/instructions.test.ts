// Instructions that nobody may give: unsigned, forged, by a stranger, for another authority's capability, for another
// request. Meters and registry stay as they were.
// Mutants: without the type check after `startsWith('{')` in `readInstructions` (protocol/src/instructions.ts) unsigned
// writing and reading are red; without `crypto.subtle.verify` "forged" is; without the three comparisons in
// `checkPayload` "made for another" is; with `action.capability` instead of `${authority}/${action.capability}` in the
// embassy's judge, "under one's own name only" is.
import { type Authority, instruct, write } from '@sealed/client'
import {
  type Action,
  type Bytes,
  canonicalize,
  randomBytes,
  sha256Hex,
  toBase64url,
  utf8,
} from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHAT, World } from '../support/instance.ts'
import { Refusals } from '../support/refusals.ts'

let world: World
const refusals = new Refusals(() => world)
beforeAll(async () => {
  world = await World.start()
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body('held'), capability: 'held' })
  await world.ask('held')
  await refusals.begin()
})
afterAll(() => world?.close())

const INVALID = { status: 400, code: 'instructions.invalid' }
const UNAUTHORIZED = { status: 403, code: 'instructions.unauthorized' }
const FORGED = { status: 403, code: 'instructions.forged' }
const WRITE: Action = { type: 'write', capability: 'held', polarity: 'positive' }
const READ: Action = { type: 'read' }

interface Binding {
  audience: string
  input_digest: string
  nonce: string
}
const encode = (value: unknown) =>
  toBase64url(utf8(typeof value === 'string' ? value : canonicalize(value)))
const header = (kid: string) => ({ alg: 'EdDSA', kid, typ: 'sealed-instructions+jws' })

/** A JWS whose header and payload are as given, signed by `by`. */
async function jws(head: unknown, payload: unknown, by: Authority): Promise<string> {
  const signed = `${encode(head)}.${encode(payload)}`
  return `${signed}.${toBase64url(await by.sign(utf8(signed) as Bytes))}`
}

describe('unsigned instructions', () => {
  test.each<[string, Action]>([
    ['write', WRITE],
    ['write negative', { ...WRITE, polarity: 'negative' } as Action],
    ['read', READ],
  ])('cannot %s', async (_, action) => {
    const instructions = async (binding: Binding) => canonicalize({ action, ...binding })
    await refusals.expect({ instructions }, UNAUTHORIZED)
  })

  test('cannot be anything but the one payload', async () => {
    for (const text of [
      '{}',
      '{"action":{"type":"update"}}',
      'update',
      '[]',
      'null',
      '.',
      '..',
      ' ',
    ])
      await refusals.expect({ instructions: text }, INVALID)
    const action = { type: 'reset' }
    await refusals.expect(
      { instructions: async (binding) => canonicalize({ action, ...binding }) },
      INVALID,
    )
  })

  test('cannot hide a write behind an update', async () => {
    const twice = async (binding: Binding) =>
      canonicalize({ action: WRITE, ...binding }).replace('{', '{"action":{"type":"update"},')
    await refusals.expect({ instructions: twice }, INVALID)
    const both = { ...WRITE, type: 'update' }
    await refusals.expect(
      { instructions: async (binding) => canonicalize({ action: both, ...binding }) },
      INVALID,
    )
  })
})

describe('a signature', () => {
  test.each(['write', 'read'] as const)('of a stranger cannot %s', async (type) => {
    const action = type === 'write' ? WRITE : READ
    await refusals.expect({ instructions: instruct(world.stranger, action) }, UNAUTHORIZED)
  })

  test('of a stranger, or of another authority, is forged under an authority’s name', async () => {
    const [authority, other] = world.authorities
    for (const signer of [world.stranger, other])
      for (const action of [WRITE, READ])
        await refusals.expect(
          { instructions: (binding) => jws(header(authority.id), { action, ...binding }, signer) },
          FORGED,
        )
  })

  test('that is changed, cut, empty or lengthened is forged', async () => {
    const [authority] = world.authorities
    const changes: ((signature: Bytes) => Uint8Array)[] = [
      (signature) => signature.fill(0),
      (signature) => signature.map((byte, i) => (i === 5 ? byte ^ 1 : byte)),
      (signature) => signature.slice(0, 63),
      (signature) => new Uint8Array([...signature, 0]),
      () => new Uint8Array(0),
      () => randomBytes(64),
    ]
    for (const change of changes)
      await refusals.expect(
        {
          instructions: async (binding) => {
            const [head, body, mac] = (await instruct(authority, WRITE)(binding)).split('.')
            const signature = new Uint8Array(Buffer.from(mac!, 'base64url'))
            return `${head}.${body}.${Buffer.from(change(signature)).toString('base64url')}`
          },
        },
        FORGED,
      )
  })

  test('does not cover another payload', async () => {
    const [authority] = world.authorities
    await refusals.expect(
      {
        instructions: async (binding) => {
          const [head, , mac] = (await instruct(authority, READ)(binding)).split('.')
          return `${head}.${encode({ action: WRITE, ...binding })}.${mac}`
        },
      },
      FORGED,
    )
  })

  test.each<[string, (kid: string) => unknown]>([
    ['no algorithm', (kid) => ({ ...header(kid), alg: 'none' })],
    ['another algorithm', (kid) => ({ ...header(kid), alg: 'HS256' })],
    ['another type', (kid) => ({ ...header(kid), typ: 'JWT' })],
    ['a key of its own', (kid) => ({ ...header(kid), jwk: { kty: 'OKP' } })],
    ['a critical member', (kid) => ({ ...header(kid), crit: ['b64'] })],
    ['no key id', (kid) => ({ alg: 'EdDSA', typ: header(kid).typ })],
    ['a key id that is a path', (kid) => ({ ...header(kid), kid: '../../etc/passwd' })],
    ['white space', (kid) => JSON.stringify(header(kid), null, 1)],
    ['a member twice', (kid) => canonicalize(header(kid)).replace('{', '{"alg":"none",')],
  ])('with %s in its header is invalid', async (_, head) => {
    const [authority] = world.authorities
    await refusals.expect(
      {
        instructions: (binding) =>
          jws(head(authority.id), { action: WRITE, ...binding }, authority),
      },
      INVALID,
    )
  })
})

describe('what an authority signs', () => {
  test('is for one transport key, one input and one request', async () => {
    const [authority] = world.authorities
    const others: [string, Partial<Binding>][] = [
      ['another audience', { audience: '0'.repeat(64) }],
      ['another input', { input_digest: await sha256Hex(utf8('another input')) }],
      ['another request', { nonce: toBase64url(randomBytes(32)) }],
    ]
    for (const [, change] of others)
      for (const action of [WRITE, READ])
        await refusals.expect(
          { instructions: (binding) => instruct(authority, action)({ ...binding, ...change }) },
          INVALID,
        )
    for (const [, change] of others)
      await refusals.expect(
        {
          instructions: async (binding) =>
            canonicalize({ action: { type: 'update' }, ...binding, ...change }),
        },
        INVALID,
      )
  })

  test.each<[string, unknown]>([
    ['a capability with an owner in it', { ...WRITE, capability: `${'0'.repeat(32)}/held` }],
    ['a capability that is a path', { ...WRITE, capability: '../held' }],
    ['a capability without a name', { ...WRITE, capability: '' }],
    ['a capability name that is too long', { ...WRITE, capability: 'x'.repeat(65) }],
    ['another polarity', { ...WRITE, polarity: 'neutral' }],
    ['no polarity', { type: 'write', capability: 'held' }],
    ['one member more', { ...READ, all: true }],
    ['an unknown type', { type: 'delete' }],
  ])('cannot be %s', async (_, action) => {
    const [authority] = world.authorities
    await refusals.expect(
      { instructions: (binding) => jws(header(authority.id), { action, ...binding }, authority) },
      INVALID,
    )
  })

  test('cannot have bytes after it, or parts missing', async () => {
    const [authority] = world.authorities
    const changes: ((text: string) => string)[] = [
      (text) => `${text}.AA`,
      (text) => text.split('.').slice(0, 2).join('.'),
      (text) => `${text} `,
      (text) => ` ${text}`,
      (text) => `\ufeff${text}`,
    ]
    for (const change of changes)
      await refusals.expect(
        { instructions: async (binding) => change(await instruct(authority, WRITE)(binding)) },
        INVALID,
      )
  })
})

refusals.leaveNothing()

test('another authority writes under its own name only, and reads nothing of anybody else', async () => {
  const [authority, other] = world.authorities
  const version = async () => (await world.reading(authority)).coverage.references
  const before = await version()
  const meter = await world.meter('held', authority)
  const common = { attested: world.attested, endpoint: CHAT }
  const body = world.body('not held')
  await write({ ...common, body, authority: other, capability: 'held' })
  expect(await version()).toEqual(before)
  const mine = await world.reading(other)
  expect(mine.meters.map(({ capability }) => capability)).toEqual([`${other.id}/held`])
  expect(mine.coverage.references.map(({ capability }) => capability)).toEqual([`${other.id}/held`])
  await world.ask('not held')
  expect(await world.meter('held', other)).toBe(1_000_000)
  expect(await world.meter('held', authority)).toBeGreaterThanOrEqual(meter!)
})
