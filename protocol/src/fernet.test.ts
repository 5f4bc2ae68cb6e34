// The official vectors of Fernet, and what they leave out: halves apart, age, spelling, every byte of a token.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import vectors from '../vectors/fernet.json' with { type: 'json' }
import { fromBase64, randomBytes, toBase64, utf8 } from './bytes.ts'
import {
  authenticateToken,
  decryptAuthentic,
  decryptToken,
  encryptToken,
  FERNET_OVERHEAD,
  splitKey,
} from './fernet.ts'

const urlsafe = (bytes: Uint8Array) => toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_')
const fromUrlsafe = (text: string) => fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'))
const code = (name: string) => expect.objectContaining({ code: name })
const MADE = Date.UTC(2026, 0, 1)
const PLAIN = utf8('a plaintext longer than one block of sixteen bytes')

describe('the vectors of the specification', () => {
  for (const [i, { token, now, iv, src, secret }] of vectors.generate.entries())
    it(`makes the token of generate ${i}`, async () => {
      const options = { now: Date.parse(now), iv: Uint8Array.from(iv) }
      expect(await encryptToken(fromUrlsafe(secret), utf8(src), options)).toBe(token)
    })

  for (const [i, { token, now, ttl_sec, src, secret }] of vectors.verify.entries())
    it(`opens the token of verify ${i}`, async () => {
      const options = { now: Date.parse(now), ttlSeconds: ttl_sec }
      expect(await decryptToken(fromUrlsafe(secret), token, options)).toEqual(utf8(src))
    })

  for (const { desc, token, now, ttl_sec, secret } of vectors.invalid)
    it(`refuses ${desc}`, async () => {
      const options = { now: Date.parse(now), ttlSeconds: ttl_sec }
      const old = /TTL|far-future/.test(desc)
      await expect(decryptToken(fromUrlsafe(secret), token, options)).rejects.toThrow(
        code(old ? 'fernet.expired' : 'fernet.invalid'),
      )
    })
})

describe('a Fernet key', () => {
  it('is signing half, then encryption half', () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => i)
    expect(splitKey(key)).toEqual({ signing: key.slice(0, 16), encryption: key.slice(16) })
  })

  it('has 32 bytes', () => {
    for (const length of [0, 16, 31, 33, 64])
      expect(() => splitKey(new Uint8Array(length))).toThrow(code('fernet.invalid'))
  })

  it('authenticates with one half and decrypts with the other', async () => {
    const key = randomBytes(32)
    const { signing, encryption } = splitKey(key)
    const token = await encryptToken(key, PLAIN)
    const authentic = await authenticateToken(signing, token)
    expect(await decryptAuthentic(encryption, authentic)).toEqual(PLAIN)
    await expect(authenticateToken(encryption, token)).rejects.toThrow(code('fernet.invalid'))
  })

  it('does not decrypt under another encryption half', async () => {
    const key = new Uint8Array(32)
    const token = await encryptToken(key, PLAIN, { iv: new Uint8Array(16) })
    const authentic = await authenticateToken(splitKey(key).signing, token)
    const other = decryptAuthentic(new Uint8Array(16).fill(1), authentic)
    await expect(other).rejects.toThrow(code('fernet.invalid'))
  })
})

describe('a token', () => {
  it('gives back any bytes, empty ones included', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (plain) => {
        const key = randomBytes(32)
        const token = await encryptToken(key, plain)
        expect(Array.from(await decryptToken(key, token))).toEqual(Array.from(plain))
        expect(fromUrlsafe(token).length).toBe(
          FERNET_OVERHEAD + 16 * (Math.floor(plain.length / 16) + 1),
        )
      }),
      { numRuns: 50 },
    )
  })

  it('differs each time', async () => {
    const key = randomBytes(32)
    const make = () => encryptToken(key, PLAIN, { now: MADE })
    expect(await make()).not.toBe(await make())
  })

  it('is refused with any one bit flipped', async () => {
    const key = randomBytes(32)
    const bytes = fromUrlsafe(await encryptToken(key, PLAIN))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      await expect(decryptToken(key, urlsafe(flipped))).rejects.toThrow(code('fernet.invalid'))
    }
  })

  it('is refused when cut or continued', async () => {
    const key = randomBytes(32)
    const bytes = fromUrlsafe(await encryptToken(key, PLAIN))
    for (let length = 0; length < bytes.length; length++)
      await expect(decryptToken(key, urlsafe(bytes.slice(0, length)))).rejects.toThrow(
        code('fernet.invalid'),
      )
    for (const more of [1, 16, 32]) {
      const longer = new Uint8Array(bytes.length + more)
      longer.set(bytes)
      await expect(decryptToken(key, urlsafe(longer))).rejects.toThrow(code('fernet.invalid'))
    }
  })

  it('with a right MAC is still refused when it has no whole blocks, or another version', async () => {
    const key = randomBytes(32)
    const { signing } = splitKey(key)
    const hmac = await crypto.subtle.importKey(
      'raw',
      signing,
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['sign'],
    )
    for (const [version, length] of [
      [0x80, 0],
      [0x80, 15],
      [0x80, 17],
      [0x81, 16],
      [0x00, 16],
    ] as const) {
      const signed = new Uint8Array(25 + length)
      signed[0] = version
      const mac = new Uint8Array(await crypto.subtle.sign('HMAC', hmac, signed))
      const token = urlsafe(Uint8Array.of(...signed, ...mac))
      await expect(authenticateToken(signing, token)).rejects.toThrow(code('fernet.invalid'))
    }
  })

  it('has one spelling', async () => {
    const key = new Uint8Array(32)
    const options = { now: MADE, iv: new Uint8Array(16).fill(0xff) }
    const token = await encryptToken(key, PLAIN, options)
    expect(token.endsWith('=')).toBe(true)
    expect(token).toContain('_')
    const stray = `${token.replace(/=+$/, '').slice(0, -1)}`
    const last = token.replace(/=+$/, '').at(-1)!
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const neighbour = digits[digits.indexOf(last) | 1]!
    expect(neighbour).not.toBe(last)
    for (const other of [
      token.replace(/=+$/, ''),
      token.replaceAll('_', '/'),
      token.replaceAll('=', '%3D'),
      `${token}=`,
      `${token}\n`,
      ` ${token}`,
      `${token.slice(0, 8)}=${token.slice(8)}`,
      `${stray}${neighbour}${'='.repeat(token.length - stray.length - 1)}`,
      '',
      '====',
    ])
      await expect(decryptToken(key, other)).rejects.toThrow(code('fernet.invalid'))
  })

  it('is valid up to the last second of its TTL and to a minute before it was made', async () => {
    const key = randomBytes(32)
    const token = await encryptToken(key, PLAIN, { now: MADE })
    const at = (seconds: number) =>
      decryptToken(key, token, { now: MADE + seconds * 1000, ttlSeconds: 30 })
    expect(await at(0)).toEqual(PLAIN)
    expect(await at(30)).toEqual(PLAIN)
    expect(await at(-60)).toEqual(PLAIN)
    await expect(at(31)).rejects.toThrow(code('fernet.expired'))
    await expect(at(-61)).rejects.toThrow(code('fernet.expired'))
  })

  it('does not age without a TTL', async () => {
    const key = randomBytes(32)
    const token = await encryptToken(key, PLAIN, { now: 0 })
    expect(await decryptToken(key, token)).toEqual(PLAIN)
  })
})
