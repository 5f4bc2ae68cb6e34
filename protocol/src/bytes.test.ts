// Encodings have one spelling per value: what decodes, encodes back to the same text.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  concat,
  equal,
  fromHex,
  fromUtf8,
  randomBytes,
  readU32be,
  sha256,
  sha256Hex,
  toHex,
  u32be,
  utf8,
  writeU32be,
} from './bytes.ts'

const invalid = expect.objectContaining({ code: 'encoding.invalid' })
const bytes = fc.uint8Array({ maxLength: 100 })
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

  it('of a number are read as they were written, and nothing beside them is touched', () => {
    const bytes = new Uint8Array(6).fill(9)
    for (const value of [0, 1, 0x01020304, 0x7fffffff, 0x80000000, 0xfffffffe]) {
      writeU32be(bytes, 1, value)
      expect(readU32be(bytes, 1)).toBe(value)
      expect(bytes.subarray(1, 5)).toEqual(u32be(value))
      expect([bytes[0], bytes[5]]).toEqual([9, 9])
    }
  })

  it('at random are as many as asked for, and others each time', () => {
    expect(randomBytes(32).length).toBe(32)
    expect(equal(randomBytes(32), randomBytes(32))).toBe(false)
  })
})
