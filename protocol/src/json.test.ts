// JSON that is hashed has one spelling; JSON that people write has the same values and no surprises.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8 } from './bytes.ts'
import { canonicalBytes, canonicalize, type Json, parseCanonical, parseStrict } from './json.ts'

const invalid = expect.objectContaining({ code: 'json.invalid' })
const notCanonical = expect.objectContaining({ code: 'json.not_canonical' })
const refused = expect.objectContaining({ code: expect.stringMatching(/^(json|encoding)\./) })

const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,5}$/)
const { value: values } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n)),
    fc.string({ unit: 'binary' }).filter((s) => s.isWellFormed()),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}))
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

describe('the canonical form', () => {
  it.each([
    [null, 'null'],
    [[], '[]'],
    [{}, '{}'],
    [[1, -1, 0], '[1,-1,0]'],
    [{ b: 1, a: { d: 2, c: [true, false] } }, '{"a":{"c":[true,false],"d":2},"b":1}'],
    [{ a_: 1, a: 2, a0: 3, ab: 4 }, '{"a":2,"a0":3,"a_":1,"ab":4}'],
    ['\u20ac$\u000f\nA\'B"\\"/', String.raw`"€$\u000f\nA'B\"\\\"/"`],
    ['\u2028\u007f\ud83d\ude00', '"\u2028\u007f\ud83d\ude00"'],
    [9007199254740991, '9007199254740991'],
  ])('of %j is %s', (value, text) => {
    expect(canonicalize(value)).toBe(text)
    expect(parseCanonical(text)).toEqual(value)
    expect(parseCanonical(utf8(text))).toEqual(value)
    expect(canonicalBytes(value)).toEqual(utf8(text))
  })

  it('comes back, in either reader', () => {
    fc.assert(
      fc.property(values, (value) => {
        const text = canonicalize(value)
        expect(parseCanonical(text)).toEqual(value)
        expect(parseStrict(text)).toEqual(value)
        expect(JSON.parse(text)).toEqual(value)
        expect(canonicalize(parseStrict(JSON.stringify(value, null, 2)))).toBe(text)
      }),
    )
  })

  it('of another text is another value: one edit is refused or read as what it now says', () => {
    const edits = fc.tuple(
      fc.nat(),
      fc.constantFrom('cut', 'put', 'set'),
      fc.constantFrom(...' \n,:"\\{}[]0159-+.eEaAu_\u0000\ud800é'),
    )
    fc.assert(
      fc.property(values, edits, (value, [where, kind, c]) => {
        const text = canonicalize(value)
        const at = where % (text.length + 1)
        const edited =
          text.slice(0, at) + (kind === 'cut' ? '' : c) + text.slice(kind === 'put' ? at : at + 1)
        if (edited === text) return
        let read: Json
        try {
          read = parseCanonical(edited)
        } catch (error) {
          expect(error).toEqual(refused)
          return
        }
        expect(canonicalize(read)).toBe(edited)
        expect(canonicalize(read)).not.toBe(text)
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    ['a float', 1.5],
    ['not a number', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['minus zero', -0],
    ['an unsafe integer', 2 ** 53],
    ['a big integer', 1n],
    ['nothing', undefined],
    ['an undefined member', { a: undefined }],
    ['an undefined item', [undefined]],
    ['a hole', new Array(2)],
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['a lone surrogate', '\ud800'],
    ['a lone surrogate further inside', { a: ['x\udc00'] }],
    ['an upper-case name', { A: 1 }],
    ['an empty name', { '': 1 }],
    ['a name with a hyphen', { 'a-b': 1 }],
    ['a name that starts with a digit', { '1a': 1 }],
    ['a prototype', JSON.parse('{"__proto__":1}')],
    ['a date', new Date(0)],
    ['a map', new Map([['a', 1]])],
    ['bytes', new Uint8Array(0)],
  ])('does not exist for %s', (_what, value) => {
    expect(() => canonicalize(value)).toThrow(invalid)
  })

  it('exists for objects without a prototype', () => {
    expect(canonicalize(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}')
  })

  it('is at most 32 deep', () => {
    expect(parseCanonical(nested(32))).toBeDefined()
    expect(parseCanonical(`${'{"a":'.repeat(32)}1${'}'.repeat(32)}`)).toBeDefined()
    expect(() => parseCanonical(nested(33))).toThrow(invalid)
    expect(() => parseCanonical(`${'{"a":'.repeat(33)}1${'}'.repeat(33)}`)).toThrow(invalid)
    const circle: unknown[] = []
    circle.push(circle)
    expect(() => canonicalize(circle)).toThrow(invalid)
  })
})

describe('a reader of canonical JSON', () => {
  it.each([
    ['a duplicate member', '{"a":1,"a":1}'],
    ['members out of order', '{"b":1,"a":2}'],
    ['white space', '{"a": 1}'],
    ['a line feed at the end', '{"a":1}\n'],
    ['an exponent', '{"a":1e0}'],
    ['a fraction of zero', '{"a":1.0}'],
    ['an escape with another spelling', '"\\u0041"'],
    ['an escaped slash', '"\\/"'],
    ['an upper-case escape', '"\\u000F"'],
  ])('refuses %s', (_what, text) => {
    expect(() => parseCanonical(text)).toThrow(notCanonical)
  })

  it.each([
    ['nothing', ''],
    ['a cut text', '{"a":'],
    ['two values', '{}{}'],
    ['a byte order mark', '\ufeff{}'],
    ['minus zero', '-0'],
    ['a float', '1.5'],
    ['an integer too large', '9007199254740993'],
    ['a prototype', '{"__proto__":{"a":1}}'],
    ['an escaped lone surrogate', '"\\ud800"'],
    ['a comment', '{}//'],
    ['a trailing comma', '[1,]'],
  ])('refuses %s', (_what, text) => {
    expect(() => parseCanonical(text)).toThrow(invalid)
  })

  it('refuses bytes that are no UTF-8', () => {
    expect(() => parseCanonical(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(refused)
  })

  it('survives depth', () => {
    expect(() => parseCanonical(nested(100_000))).toThrow(invalid)
    expect(() => parseStrict(nested(100_000))).toThrow(invalid)
  })
})

describe('a reader of files', () => {
  it('allows white space', () => {
    expect(parseStrict(' {\r\n\t"b" : [ 1 , -2 ] ,\n "a" : { } , "c":[ ]}\n')).toEqual({
      a: {},
      b: [1, -2],
      c: [],
    })
    expect(parseStrict('"\\u0041\\n\\ud83d\\ude00"')).toBe('A\n😀')
  })

  it('takes somebody else’s names where it is told what they are like, and no name twice', () => {
    const names = /^[A-Za-z-]+$/
    expect(parseStrict('{"Ssh-Keys":{"B-b":1}}', names)).toEqual({ 'Ssh-Keys': { 'B-b': 1 } })
    expect(() => parseStrict('{"Ssh-Keys":1}')).toThrow('is not [a-z][a-z0-9_]* at line 1')
    expect(() => parseStrict('{"a_b":1}', names)).toThrow('is not [A-Za-z-]+ at line 1')
    expect(() => parseStrict('{"A-b":1,"A-b":1}', names)).toThrow('member "A-b" twice')
    expect(parseStrict('{"__proto__":1}', /^.+$/)).toEqual(JSON.parse('{"__proto__":1}'))
  })

  it.each([
    ['a duplicate member', '{"a":1,"a":2}'],
    ['a duplicate member with another spelling', '{"a":1,"\\u0061":2}'],
    ['a prototype', '{"__proto__":1}'],
    ['a constructor, twice', '{"constructor":1,"constructor":1}'],
    ['a float', '1.0'],
    ['an exponent', '1e2'],
    ['a leading zero', '01'],
    ['a plus', '+1'],
    ['minus zero', '-0'],
    ['minus alone', '-'],
    ['an unsafe integer', '9007199254740992'],
    ['a very long integer', '1'.repeat(400)],
    ['an upper-case name', '{"A":1}'],
    ['a lone surrogate', '"\\udc00"'],
    ['a raw line feed in a string', '"a\nb"'],
    ['an unknown escape', '"\\x"'],
    ['a string without end', '"abc'],
    ['a string that ends in a backslash', '"abc\\'],
    ['a trailing comma in an array', '[1,]'],
    ['a trailing comma in an object', '{"a":1,}'],
    ['a comment', '{} // no'],
    ['a single quote', "'a'"],
    ['a name without quotes', '{a:1}'],
    ['a missing colon', '{"a" 1}'],
    ['two values', '1 2'],
    ['another literal', 'nul'],
    ['a longer literal', 'nulll'],
    ['undefined', 'undefined'],
    ['nothing', ''],
    ['white space of another kind', '\u00a0{}'],
    ['a byte order mark', '\ufeff{}'],
  ])('refuses %s', (_what, text) => {
    expect(() => parseStrict(text)).toThrow(invalid)
  })

  it('takes no more than JSON, and the same values', () => {
    const near = fc.stringMatching(/^[[\]{}",:a1\- \\u.0]{0,10}$/)
    fc.assert(
      fc.property(near, (text) => {
        let read: Json
        try {
          read = parseStrict(text)
        } catch (error) {
          expect(error).toEqual(invalid)
          return
        }
        expect(JSON.parse(text)).toEqual(read)
      }),
      { numRuns: 2000 },
    )
  })

  it('says where', () => {
    expect(() => parseStrict('{\n  "a": 1,\n  "a": 2\n}')).toThrow(/"a" twice at line 3, column 6/)
  })

  it('gives objects with the ordinary prototype', () => {
    expect(Object.getPrototypeOf(parseStrict('{"a":1}'))).toBe(Object.prototype)
  })

  it('is at most 32 deep', () => {
    expect(parseStrict(`${'['.repeat(32)}1${']'.repeat(32)}`)).toBeDefined()
    expect(() => parseStrict(nested(33))).toThrow(invalid)
    expect(() => parseStrict('{"a":'.repeat(33))).toThrow(invalid)
  })
})
