// Instructions: who may ask for what, and that nothing signed for one request works for another.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, randomBytes, sha256Hex, toBase64url, utf8 } from './bytes.ts'
import {
  type Action,
  authorityId,
  type InstructionsPayload,
  readInstructions,
  signInstructions,
} from './instructions.ts'
import { canonicalize } from './json.ts'

const invalid = expect.objectContaining({ code: 'instructions.invalid' })
const forged = expect.objectContaining({ code: 'instructions.forged' })
const unauthorized = expect.objectContaining({ code: 'instructions.unauthorized' })
const refused = expect.objectContaining({ code: expect.stringMatching(/^instructions\./) })

const request = {
  audience: 'aa'.repeat(32),
  inputDigest: 'bb'.repeat(32),
  nonce: toBase64url(new Uint8Array(32).fill(7)),
}
const payload = (action: unknown, change: Record<string, unknown> = {}) =>
  ({
    action,
    audience: request.audience,
    input_digest: request.inputDigest,
    nonce: request.nonce,
    ...change,
  }) as InstructionsPayload
const WRITE: Action = { capability: 'design', polarity: 'positive', type: 'write' }
const ACTIONS: Action[] = [
  { type: 'update' },
  { type: 'read' },
  WRITE,
  { ...WRITE, polarity: 'negative' },
]

interface Authority {
  id: string
  publicKey: Bytes
  sign: (bytes: Bytes) => Promise<Bytes>
}
async function authority(): Promise<Authority> {
  const keys = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey))
  const sign = async (bytes: Bytes) =>
    new Uint8Array(await crypto.subtle.sign('Ed25519', keys.privateKey, bytes))
  return { id: await authorityId(publicKey), publicKey, sign }
}

let alice: Authority
let bob: Authority
let admitted: Map<string, Bytes>
beforeAll(async () => {
  ;[alice, bob] = [await authority(), await authority()]
  admitted = new Map([[alice.id, alice.publicKey]])
})
const read = (text: string) => readInstructions(text, request, admitted)
/** A JWS of these very parts, signed by alice. */
async function jws(header: string, body: string) {
  const signed = `${toBase64url(utf8(header))}.${toBase64url(utf8(body))}`
  return `${signed}.${toBase64url(await alice.sign(utf8(signed)))}`
}
const header = (change: Record<string, unknown> = {}) =>
  canonicalize({ alg: 'EdDSA', kid: alice.id, typ: 'sealed-instructions+jws', ...change })

describe('unsigned instructions', () => {
  it('ask for update, said or not', async () => {
    expect(await read('')).toEqual({ action: { type: 'update' } })
    expect(await read(canonicalize(payload({ type: 'update' })))).toEqual({
      action: { type: 'update' },
    })
  })

  it('can ask for nothing else', async () => {
    for (const action of ACTIONS.slice(1))
      await expect(read(canonicalize(payload(action)))).rejects.toThrow(unauthorized)
  })

  it.each(['audience', 'input_digest', 'nonce'])('are for this request: %s', async (member) => {
    const value = member === 'nonce' ? toBase64url(randomBytes(32)) : 'cc'.repeat(32)
    const other = canonicalize(payload({ type: 'update' }, { [member]: value }))
    await expect(read(other)).rejects.toThrow(invalid)
  })

  it.each(['{', '{}', '{"action":{"type":"update"}}', 'null', ' ', '[]', 'update', '{"a":1} '])(
    'are not %j',
    async (text) => {
      await expect(read(text)).rejects.toThrow(invalid)
    },
  )
})

describe('signed instructions', () => {
  it.each(ACTIONS)('ask for $type', async (action) => {
    const text = await signInstructions(payload(action), alice)
    expect(await read(text)).toEqual({ action, authority: alice.id })
  })

  it('are of an authority that is present', async () => {
    await expect(read(await signInstructions(payload(WRITE), bob))).rejects.toThrow(unauthorized)
    expect(await readInstructions('', request, new Map())).toEqual({ action: { type: 'update' } })
  })

  it('are signed by the authority they name', async () => {
    const text = await signInstructions(payload(WRITE), { id: alice.id, sign: bob.sign })
    await expect(read(text)).rejects.toThrow(forged)
    for (const length of [0, 63, 65]) {
      const sign = async () => new Uint8Array(length)
      await expect(
        read(await signInstructions(payload(WRITE), { id: alice.id, sign })),
      ).rejects.toThrow(forged)
    }
  })

  it.each(['audience', 'input_digest', 'nonce'])('are for this request: %s', async (member) => {
    const value = member === 'nonce' ? toBase64url(randomBytes(32)) : 'cc'.repeat(32)
    const text = await signInstructions(payload(WRITE, { [member]: value }), alice)
    await expect(read(text)).rejects.toThrow(invalid)
  })

  it('with any part of another are forged', async () => {
    const one = (await signInstructions(payload(WRITE), alice)).split('.')
    const other = (await signInstructions(payload({ type: 'read' }), alice)).split('.')
    for (const i of [1, 2])
      await expect(read(one.with(i, other[i]!).join('.'))).rejects.toThrow(forged)
  })

  it('with any bit flipped are refused', async () => {
    const text = await signInstructions(payload(WRITE), alice)
    const bytes = utf8(text)
    for (let bit = 0; bit < bytes.length * 8; bit += 5) {
      const flipped = bytes.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      await expect(read(new TextDecoder().decode(flipped)), `bit ${bit}`).rejects.toThrow(refused)
    }
  })

  it('do not choose their algorithm or type', async () => {
    const body = canonicalize(payload(WRITE))
    expect(await read(await jws(header(), body))).toMatchObject({ authority: alice.id })
    for (const change of [
      { alg: 'none' },
      { alg: 'HS256' },
      { alg: 'eddsa' },
      { typ: 'JWT' },
      { kid: alice.id.toUpperCase() },
      { kid: alice.id.slice(1) },
      { jwk: { kty: 'OKP' } },
      { crit: [] },
    ])
      await expect(read(await jws(header(change), body))).rejects.toThrow(invalid)
    const spaced = JSON.stringify(JSON.parse(header()), null, 1)
    await expect(read(await jws(spaced, body))).rejects.toThrow(invalid)
  })

  it('have a payload in canonical form, with these members', async () => {
    const body = canonicalize(payload(WRITE))
    for (const other of [
      ` ${body}`,
      body.replace('{', '{"audience":"x",'),
      canonicalize({ ...payload(WRITE), exp: 1 }),
      canonicalize(payload({ ...WRITE, weight: 2 })),
      canonicalize(payload({ ...WRITE, polarity: 'neutral' })),
      canonicalize(payload({ ...WRITE, capability: '../x' })),
      canonicalize(payload({ ...WRITE, capability: `${bob.id}/design` })),
      canonicalize(payload({ type: 'write' })),
      canonicalize(payload({ type: 'delete' })),
      canonicalize(payload(undefined as never, { action: null })),
      'null',
    ])
      await expect(read(await jws(header(), other))).rejects.toThrow(invalid)
  })

  it('have three parts of canonical base64url', async () => {
    const text = await signInstructions(payload(WRITE), alice)
    const [head, body, mac] = text.split('.') as [string, string, string]
    for (const other of [
      `${head}.${body}`,
      `${text}.`,
      `${text}.${mac}`,
      `.${body}.${mac}`,
      `${head}..${mac}`,
      `${head}=.${body}.${mac}`,
      `${head}.${body}.${mac}=`,
      `${head}.${body}.${mac}A`,
      `${text}\n`,
      `${head}.${body}.`,
      '..',
    ])
      await expect(read(other)).rejects.toThrow(refused)
    const noText = `${head.slice(0, 4)}${toBase64url(Uint8Array.of(0xff, 0xff, 0xff))}.${body}.${mac}`
    await expect(read(noText)).rejects.toThrow(invalid)
  })
})

it('an authority’s id is the first half of its key’s digest', async () => {
  expect(alice.id).toBe((await sha256Hex(alice.publicKey)).slice(0, 32))
  expect(alice.id).not.toBe(bob.id)
})
