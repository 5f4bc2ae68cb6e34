// Encodings have one spelling per value: what decodes, encodes back to the same text, by our own loop as by Node's.
// Mutants: a spelling taken that encoding does not give; the other alphabet; padding left out or added; memory of
// Node's pool handed out.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Base64, native, node, portable } from './base64.ts'
import { toHex, utf8 } from './bytes.ts'

const invalid = expect.objectContaining({ code: 'encoding.invalid' })
const bytes = fc.uint8Array({ maxLength: 100 })
const ways: [string, Base64][] = [
  ['by our own loop', portable],
  ...(node ? [['by Node', native(node)] as [string, Base64]] : []),
]
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

describe.each(ways)('base64, %s', (_way, { fromBase64, fromBase64url, toBase64, toBase64url }) => {
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

  it('gives bytes that share memory with nothing else', () => {
    for (const bytes of [fromBase64('Zm9v'), fromBase64url('Zm8'), fromBase64url('')])
      expect(bytes.buffer.byteLength).toBe(bytes.length)
  })

  it('encodes a part of what it lies in', () => {
    expect(toBase64(utf8('xfoox').subarray(1, 4))).toBe('Zm9v')
    expect(toBase64url(utf8('xfox').subarray(1, 3))).toBe('Zm8')
  })
})

it('is the same both ways, whatever the text', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.stringMatching(/^[A-Ca89+/=_ \n-]{0,12}$/),
    fc.uint8Array({ maxLength: 400 }).map(portable.toBase64),
    fc.uint8Array({ maxLength: 400 }).map(portable.toBase64url),
  )
  const read = (decode: (text: string) => Uint8Array, text: string) => {
    try {
      return toHex(decode(text))
    } catch (error) {
      return (error as Error).message
    }
  }
  for (const [, way] of ways)
    fc.assert(
      fc.property(text, (text) => {
        expect(read(way.fromBase64, text)).toBe(read(portable.fromBase64, text))
        expect(read(way.fromBase64url, text)).toBe(read(portable.fromBase64url, text))
      }),
      { numRuns: 3000 },
    )
})
