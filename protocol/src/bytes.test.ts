// Encodings have one spelling per value: what decodes, encodes back to the same text.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  concat,
  equal,
  fromBase64,
  fromBase64url,
  fromHex,
  fromUtf8,
  randomBytes,
  sha256,
  sha256Hex,
  toBase64,
  toBase64url,
  toHex,
  u32be,
  utf8,
} from './bytes.ts'

const invalid = expect.objectContaining({ code: 'encoding.invalid' })
const bytes = fc.uint8Array({ maxLength: 100 })
/** RFC 4648 section 10. */
const RFC4648 = [
  ['', ''],
  ['f', 'Zg=='],
  ['fo', 'Zm8='],
  ['foo', 'Zm9v'],
  ['foob', 'Zm9vYg=='],
  ['fooba', 'Zm9vYmE='],
  ['foobar', 'Zm9vYmFy'],
] as const

describe('base64', () => {
  it.each(RFC4648)('of "%s" is "%s"', (plain, encoded) => {
    expect(toBase64(utf8(plain))).toBe(encoded)
    expect(fromBase64(encoded)).toEqual(utf8(plain))
    const url = encoded.replace(/=+$/, '')
    expect(toBase64url(utf8(plain))).toBe(url)
    expect(fromBase64url(url)).toEqual(utf8(plain))
  })

  it('comes back, as the platform’s own says', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        expect(toBase64(value)).toBe(btoa(String.fromCharCode(...value)))
        expect(toBase64url(value)).toMatch(/^[A-Za-z0-9_-]*$/)
        expect(toHex(fromBase64(toBase64(value)))).toBe(toHex(value))
        expect(toHex(fromBase64url(toBase64url(value)))).toBe(toHex(value))
      }),
    )
  })

  it('has one spelling: whatever decodes is what encoding gives', () => {
    const near = fc.stringMatching(/^[A-Ca89+/=_ \n-]{0,8}$/)
    let decoded = 0
    fc.assert(
      fc.property(near, (text) => {
        for (const [decode, encode] of [
          [fromBase64, toBase64],
          [fromBase64url, toBase64url],
        ] as const) {
          let value: Uint8Array
          try {
            value = decode(text)
          } catch (error) {
            expect(error).toEqual(invalid)
            continue
          }
          decoded++
          expect(encode(value)).toBe(text)
        }
      }),
      { numRuns: 2000 },
    )
    expect(decoded).toBeGreaterThan(20)
  })

  it.each([
    'Zg=',
    'Zg',
    'Zg===',
    'Zh==',
    'Zm9=',
    'Zm9v=',
    '=',
    '====',
    'Z===',
    'Zm 9v',
    'Zm9v\n',
    'Zm-v',
    'Zm9\u0176',
    'Zm=v',
    'Zg==Zg==',
  ])('padded refuses %j', (text) => {
    expect(() => fromBase64(text)).toThrow(invalid)
  })

  it.each(['Zg==', 'Z', 'Zh', 'Zm9', 'Zm+v', 'Zm/v', 'Zm9v ', '\u00e9AAA', 'Zm9vZ'])(
    'unpadded refuses %j',
    (text) => {
      expect(() => fromBase64url(text)).toThrow(invalid)
    },
  )

  it('tells all bytes apart', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    expect(fromBase64(toBase64(all))).toEqual(all)
    expect(toBase64url(Uint8Array.of(0xfb, 0xff, 0xbf))).toBe('-_-_')
    expect(toBase64(Uint8Array.of(0xfb, 0xff, 0xbf))).toBe('+/+/')
  })
})

describe('hex', () => {
  it('is lower-case, two digits a byte', () => {
    expect(toHex(Uint8Array.of(0, 1, 0xab, 0xff))).toBe('0001abff')
    expect(fromHex('0001abff', 4)).toEqual(Uint8Array.of(0, 1, 0xab, 0xff))
    expect(fromHex('')).toEqual(new Uint8Array(0))
  })

  it('refuses another length, case or character', () => {
    for (const text of ['0', 'AB', 'ag', '0x00', ' 00', '00\n'])
      expect(() => fromHex(text)).toThrow(invalid)
    expect(() => fromHex('0001', 1)).toThrow(invalid)
    expect(() => fromHex('0001', 3)).toThrow(invalid)
    expect(() => fromHex('', 1)).toThrow(invalid)
  })
})

describe('UTF-8', () => {
  it('comes back, a byte order mark included', () => {
    for (const text of ['', 'abc', 'é€𝄞', '\ufeffx', '\0']) expect(fromUtf8(utf8(text))).toBe(text)
  })

  it.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a cut sequence', [0xe2, 0x82]],
    ['beyond Unicode', [0xf5, 0x80, 0x80, 0x80]],
  ])('refuses %s', (_what, value) => {
    expect(() => fromUtf8(Uint8Array.from(value))).toThrow(invalid)
  })
})

describe('bytes', () => {
  it('are joined in order', () => {
    expect(concat()).toEqual(new Uint8Array(0))
    expect(concat(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3))).toEqual(
      Uint8Array.of(1, 2, 3),
    )
    const whole = Uint8Array.of(9, 8, 7, 6)
    expect(concat(whole.subarray(1, 3))).toEqual(Uint8Array.of(8, 7))
  })

  it('are equal only when every one is', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(equal(a, b)).toBe(toHex(a) === toHex(b))
        expect(equal(a, a.slice())).toBe(true)
      }),
    )
    for (let i = 0; i < 32; i++) {
      const other = new Uint8Array(32)
      other[i] = 0x80
      expect(equal(new Uint8Array(32), other)).toBe(false)
    }
    expect(equal(new Uint8Array(1), new Uint8Array(2))).toBe(false)
  })

  it('hash over all parts', async () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    expect(await sha256Hex(utf8('abc'))).toBe(abc)
    expect(toHex(await sha256(utf8('a'), utf8(''), utf8('bc')))).toBe(abc)
    expect(await sha256Hex()).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
  })

  it('of a number are big-endian', () => {
    expect(u32be(0x01020304)).toEqual(Uint8Array.of(1, 2, 3, 4))
    expect(u32be(0xfffffffe)).toEqual(Uint8Array.of(255, 255, 255, 254))
  })

  it('at random are as many as asked for, and others each time', () => {
    expect(randomBytes(32).length).toBe(32)
    expect(equal(randomBytes(32), randomBytes(32))).toBe(false)
  })
})
