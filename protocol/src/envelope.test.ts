// Envelopes: what was sealed comes out, and no part of it can be changed, cut, moved or swapped.
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type Bytes,
  concat,
  fromBase64,
  fromBase64url,
  toBase64,
  toBase64url,
  utf8,
} from './bytes.ts'
import {
  type Envelope,
  INSTRUCTIONS_BYTES,
  importTransportKey,
  MAX_ENVELOPE_BYTES,
  openInstructions,
  padInstructions,
  parseEnvelope,
  type SealedRequest,
  sealRequest,
  type TransportPublicKey,
  unpadInstructions,
  unwrapInputKeys,
} from './envelope.ts'
import { decryptToken } from './fernet.ts'
import { canonicalBytes, parseCanonical } from './json.ts'

const NOW = Date.UTC(2026, 9, 1)
const INPUT = utf8('{"prompt":"hello"}')
const TEXT = '{"action":{"type":"update"}}'
const code = (name: string) => expect.objectContaining({ code: name })
const refused = code(expect.stringMatching(/^(envelope|encoding|instructions|fernet)\./) as never)

let transport: CryptoKeyPair
let to: TransportPublicKey
let a: SealedRequest
let b: SealedRequest

async function keyPair(): Promise<[CryptoKeyPair, TransportPublicKey]> {
  const algorithm = {
    name: 'RSA-OAEP',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
  }
  const pair = (await crypto.subtle.generateKey(algorithm, true, [
    'encrypt',
    'decrypt',
  ])) as CryptoKeyPair
  const spki = await crypto.subtle.exportKey('spki', pair.publicKey)
  return [pair, await importTransportKey(new Uint8Array(spki))]
}

const seal = (options: { stream?: boolean; tenantSecret?: Bytes } = {}, instructions = TEXT) =>
  sealRequest(
    to,
    {
      workload: 'demo',
      endpoint: '/v1/completions',
      expect: {
        key_set: 'aa'.repeat(32),
        metering: 'required',
        seal_policy: 'request',
        workload: 'bb'.repeat(32),
      },
      input: INPUT,
      instructions: async () => instructions,
      ...options,
    },
    NOW,
  )

beforeAll(async () => {
  ;[transport, to] = await keyPair()
  ;[a, b] = [await seal(), await seal()]
})

/** All that an embassy does with the cryptography of an envelope, and nothing else. */
async function open(body: Uint8Array, key = transport.privateKey) {
  const parsed = await parseEnvelope(body)
  const instructions = await openInstructions(key, parsed)
  const secrets = await unwrapInputKeys(key, parsed)
  const input = await decryptToken(secrets.inputKey, parsed.envelope.input)
  return { header: parsed.header, headerDigest: parsed.headerDigest, input, instructions, secrets }
}

const parts = (request: SealedRequest) => parseCanonical(request.body) as unknown as Envelope
const opened = (envelope: unknown) => open(canonicalBytes(envelope))

describe('an envelope', () => {
  it('gives back what was sealed', async () => {
    const { header, headerDigest, input, instructions, secrets } = await open(utf8(a.body))
    expect(input).toEqual(INPUT)
    expect(instructions).toBe(TEXT)
    expect({ header, headerDigest, secrets }).toEqual({
      header: a.header,
      headerDigest: a.headerDigest,
      secrets: a.secrets,
    })
    expect(a.header).toMatchObject({ issued_ms: NOW, key_id: to.id, stream: false, version: 1 })
  })

  it('carries a tenant’s secret, no input and no instructions where asked to', async () => {
    const tenantSecret = new Uint8Array(32).fill(5)
    const sealed = await seal({ stream: true, tenantSecret }, '')
    const { header, instructions, secrets } = await open(utf8(sealed.body))
    expect(header.stream).toBe(true)
    expect(instructions).toBe('')
    expect(secrets.tenantSecret).toEqual(tenantSecret)
  })

  it('shares no key, nonce or token with another of the same content', () => {
    expect(a.header.nonce).not.toBe(b.header.nonce)
    for (const name of ['inputKey', 'responseSecret', 'tenantSecret'] as const)
      expect(a.secrets[name]).not.toEqual(b.secrets[name])
    const [one, other] = [parts(a), parts(b)]
    expect(one.input).not.toBe(other.input)
    expect(one.instructions).not.toBe(other.instructions)
  })

  it('does not show by its length what its instructions are', async () => {
    const long = await seal({}, 'x'.repeat(INSTRUCTIONS_BYTES - 4))
    expect(parts(long).instructions.length).toBe(parts(a).instructions.length)
    expect((await open(utf8(long.body))).instructions.length).toBe(INSTRUCTIONS_BYTES - 4)
  })

  it('opens with its own transport key only', async () => {
    const [other] = await keyPair()
    await expect(open(utf8(a.body), other.privateKey)).rejects.toThrow(
      code('envelope.key_mismatch'),
    )
  })
})

describe('a transport key', () => {
  it('is an RSA key, and nothing else is wrapped to', async () => {
    const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' }
    const pair = (await crypto.subtle.generateKey(ecdsa, true, ['sign'])) as CryptoKeyPair
    const other = new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey))
    for (const spki of [new Uint8Array(0), new Uint8Array(64), other])
      await expect(importTransportKey(spki)).rejects.toMatchObject({ code: 'evidence.invalid' })
  })
})

describe('parts of two envelopes', () => {
  it('never make a third', async () => {
    const flat = (e: Envelope) => [e.header, e.input, e.instructions, e.keys.action, e.keys.input]
    const [one, other] = [flat(parts(a)), flat(parts(b))]
    for (let mask = 1; mask < 31; mask++) {
      const [header, input, instructions, action, key] = one.map((part, i) =>
        mask & (1 << i) ? other[i] : part,
      )
      const mixed = { header, input, instructions, keys: { action, input: key } }
      await expect(opened(mixed), `mask ${mask}`).rejects.toThrow(refused)
    }
  })

  it('cannot be swapped under one header', async () => {
    const { header, input, instructions, keys } = parts(a)
    for (const swapped of [
      { header, input: instructions, instructions: input, keys },
      { header, input, instructions, keys: { action: keys.input, input: keys.action } },
      { header, input, instructions, keys: { action: keys.input, input: keys.input } },
      { header, input, instructions, keys: { action: keys.action, input: keys.action } },
      { header, input: instructions, instructions, keys },
      { header, input, instructions: input, keys },
      {
        header,
        input: instructions,
        instructions: input,
        keys: { action: keys.input, input: keys.action },
      },
    ])
      await expect(opened(swapped)).rejects.toThrow(refused)
  })

  it('cannot be wrapped again for another header by who does not know the keys', async () => {
    const { headerDigest, secrets } = a
    const wrap = async (plain: Uint8Array) =>
      toBase64url(
        new Uint8Array(await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, to.key, plain as Bytes)),
      )
    const guesses = [
      concat(new Uint8Array(96), headerDigest),
      concat(secrets.inputKey, secrets.responseSecret, secrets.tenantSecret, b.headerDigest),
      concat(secrets.inputKey, secrets.responseSecret, headerDigest),
      concat(secrets.inputKey, secrets.responseSecret, secrets.tenantSecret),
    ]
    for (const guess of guesses) {
      const envelope = parts(a)
      envelope.keys.input = await wrap(guess)
      await expect(opened(envelope)).rejects.toThrow(refused)
    }
  })
})

describe('a flipped bit', () => {
  const urlsafe = (bytes: Uint8Array) => toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_')
  const token = (text: string) => fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'))
  const PARTS: [string, (e: Envelope, change: (bytes: Bytes) => Bytes) => void][] = [
    ['header', (e, f) => Object.assign(e, { header: toBase64url(f(fromBase64url(e.header))) })],
    ['input', (e, f) => Object.assign(e, { input: urlsafe(f(token(e.input))) })],
    [
      'instructions',
      (e, f) => Object.assign(e, { instructions: urlsafe(f(token(e.instructions))) }),
    ],
    [
      'keys.action',
      (e, f) => Object.assign(e.keys, { action: toBase64url(f(fromBase64url(e.keys.action))) }),
    ],
    [
      'keys.input',
      (e, f) => Object.assign(e.keys, { input: toBase64url(f(fromBase64url(e.keys.input))) }),
    ],
  ]

  it.each(PARTS)('in %s is refused', async (_part, edit) => {
    const RUNS = 120
    for (let run = 0; run < RUNS; run++) {
      const envelope = parts(a)
      edit(envelope, (bytes) => {
        const bit = Math.floor((run * (bytes.length * 8 - 1)) / (RUNS - 1))
        const out = bytes.slice()
        out[bit >> 3]! ^= 1 << (bit & 7)
        return out
      })
      await expect(opened(envelope)).rejects.toThrow(refused)
    }
  })

  it('anywhere in the text is refused', async () => {
    const bytes = utf8(a.body)
    for (let bit = 0; bit < bytes.length * 8; bit += 97) {
      const flipped = bytes.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      await expect(open(flipped)).rejects.toThrow(refused)
    }
  })
})

describe('the form of an envelope', () => {
  const invalid = code('envelope.invalid')

  it('is not that of a text cut short or continued', async () => {
    const bytes = utf8(a.body)
    for (let length = 0; length < bytes.length; length += 61)
      await expect(parseEnvelope(bytes.subarray(0, length))).rejects.toThrow(invalid)
    for (const more of [' ', '\n', '\0', '{}'])
      await expect(parseEnvelope(utf8(a.body + more))).rejects.toThrow(invalid)
  })

  it('has a bound', async () => {
    await expect(parseEnvelope(new Uint8Array(MAX_ENVELOPE_BYTES + 1))).rejects.toThrow(
      code('envelope.too_large'),
    )
    await expect(parseEnvelope(new Uint8Array(MAX_ENVELOPE_BYTES))).rejects.toThrow(invalid)
  })

  it('has these members, once, and no others', async () => {
    for (const body of [
      a.body.replace('{', '{"input":"AA==",'),
      a.body.replace(/^\{/, '{"a":1,'),
      a.body.replace('"keys":{', '"keys":{"a":"AA",'),
      a.body.replace(/,"keys":.*$/, '}'),
      a.body.replace('"header"', '"Header"'),
      a.body.replace('":"', '": "'),
      `[${a.body}]`,
      'null',
      '""',
    ])
      await expect(parseEnvelope(utf8(body))).rejects.toThrow(invalid)
    for (const member of ['header', 'input', 'instructions', 'keys'] as const) {
      const { [member]: _, ...rest } = parts(a)
      await expect(parseEnvelope(canonicalBytes(rest))).rejects.toThrow(invalid)
      for (const value of [null, 1, true, [], {}, '', 'é', 'A B'])
        await expect(
          parseEnvelope(canonicalBytes({ ...parts(a), [member]: value })),
        ).rejects.toThrow(refused)
    }
  })

  const withHeader = (change: Record<string, unknown>) =>
    parseEnvelope(
      canonicalBytes({
        ...parts(a),
        header: toBase64url(canonicalBytes({ ...a.header, ...change })),
      }),
    )

  it('is of version 1', async () => {
    for (const version of [0, 2, '1', null])
      await expect(withHeader({ version })).rejects.toThrow(code('envelope.version'))
  })

  it.each([
    ['suite', ['rsa-oaep-256/none', '', null]],
    ['nonce', ['', 'AAAA', `${'A'.repeat(42)}B`, 'A'.repeat(44), 1]],
    ['endpoint', ['', 'v1', '/V1', '/v1/../x', `/${'a'.repeat(64)}`, '/a?b']],
    ['key_id', ['', 'AA'.repeat(32), 'aa'.repeat(31), 'aa'.repeat(33)]],
    ['input_digest', ['', 'gg'.repeat(32), null]],
    ['instructions_digest', ['', 'aa', null]],
    ['issued_ms', [-1, '1', null]],
    ['stream', [0, 'true', null]],
    ['workload', ['', 'Demo', '../x', '-a', 'a'.repeat(65)]],
    ['expect', [null, {}, []]],
    ['extra', [1]],
  ])('has a header whose %s is as specified', async (member, values) => {
    for (const value of values)
      await expect(withHeader({ [member]: value })).rejects.toThrow(invalid)
  })

  it('has a header with every member', async () => {
    for (const member of Object.keys(a.header)) {
      const { [member as 'nonce']: _, ...rest } = a.header
      const envelope = { ...parts(a), header: toBase64url(canonicalBytes(rest)) }
      await expect(parseEnvelope(canonicalBytes(envelope))).rejects.toThrow(invalid)
    }
  })

  it('has a header in canonical form, base64url of which is canonical too', async () => {
    const spaced = toBase64url(utf8(JSON.stringify(a.header, null, 1)))
    const header = parts(a).header
    for (const other of [spaced, `${header}=`, `${header}A`, '', 'AA', toBase64url(utf8('null'))])
      await expect(parseEnvelope(canonicalBytes({ ...parts(a), header: other }))).rejects.toThrow(
        refused,
      )
  })
})

describe('instructions', () => {
  it('are padded to one size and come out again', () => {
    for (const text of ['', 'a', 'é'.repeat(100), 'x'.repeat(INSTRUCTIONS_BYTES - 4)]) {
      const padded = padInstructions(text)
      expect(padded.length).toBe(INSTRUCTIONS_BYTES)
      expect(unpadInstructions(padded)).toBe(text)
    }
  })

  it('that do not fit are refused', () => {
    const invalid = code('instructions.invalid')
    expect(() => padInstructions('x'.repeat(INSTRUCTIONS_BYTES - 3))).toThrow(invalid)
    expect(() => padInstructions('é'.repeat(INSTRUCTIONS_BYTES / 2 - 1))).toThrow(invalid)
  })

  it('padded otherwise are refused', () => {
    const padded = (change: (bytes: Bytes) => void) => {
      const bytes = padInstructions('abc')
      change(bytes)
      return () => unpadInstructions(bytes)
    }
    const invalid = code('instructions.invalid')
    expect(padded((bytes) => bytes.set([1], 7))).toThrow(invalid)
    expect(padded((bytes) => bytes.set([1], INSTRUCTIONS_BYTES - 1))).toThrow(invalid)
    expect(padded((bytes) => bytes.set([0, 0, 0, 2]))).toThrow(invalid)
    expect(padded((bytes) => bytes.set([0, 0, 15, 253]))).toThrow(invalid)
    expect(padded((bytes) => bytes.set([255, 255, 255, 255]))).toThrow(invalid)
    expect(padded((bytes) => bytes.set([0xff], 4))).toThrow(invalid)
    for (const length of [0, 4, INSTRUCTIONS_BYTES - 1, INSTRUCTIONS_BYTES + 1])
      expect(() => unpadInstructions(new Uint8Array(length))).toThrow(invalid)
    const shifted = concat(new Uint8Array(3), padInstructions('abc')).subarray(3)
    expect(unpadInstructions(shifted)).toBe('abc')
  })
})
