// tlog-proof and add-checkpoint: one spelling each, and nothing that is not in the format.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toBase64, utf8 } from './bytes.ts'
import { encodeTlogProof, MAX_PROOF_CHARS, parseTlogProof, type TlogProof } from './tlog-proof.ts'
import { encodeAddCheckpoint, parseAddCheckpoint, parseKnownSize } from './witness.ts'

const refused = expect.objectContaining({
  code: expect.stringMatching(/^(evidence|request|encoding)\./),
})
const CHECKPOINT = 'sealed/x\n7\nAAAA\n\n— sealed/x AAAAAAA=\n'
const HASH = new Uint8Array(32).fill(0xfe)
const HASH_LINE = toBase64(HASH)
const PROOF: TlogProof = {
  index: 5,
  path: [HASH, HASH.slice().fill(1)],
  checkpoint: CHECKPOINT,
}
/** C2SP tlog-proof, "Format", filled in by hand. */
const TEXT = `c2sp.org/tlog-proof@v1
index 5
/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v4=
AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=

${CHECKPOINT}`

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((h) => Uint8Array.from(h))
const size = fc.integer({ min: 0, max: 999_999_999_999_999 })

describe('a tlog-proof', () => {
  it('is as C2SP says', () => {
    expect(encodeTlogProof(PROOF)).toBe(TEXT)
    expect(parseTlogProof(TEXT)).toEqual(PROOF)
    const extra = { ...PROOF, extra: utf8('hello') }
    const text = encodeTlogProof(extra)
    expect(text.split('\n')[1]).toBe('extra aGVsbG8=')
    expect(parseTlogProof(text)).toEqual(extra)
  })

  it.each([
    ['nothing', ''],
    ['another header', TEXT.replace('@v1', '@v2')],
    ['no header', TEXT.slice(TEXT.indexOf('\n') + 1)],
    ['no index', TEXT.replace('index 5\n', '')],
    ['a leading zero', TEXT.replace('index 5', 'index 05')],
    ['a negative index', TEXT.replace('index 5', 'index -5')],
    ['an index beyond safe integers', TEXT.replace('index 5', 'index 9007199254740993')],
    ['an index in words', TEXT.replace('index 5', 'index five')],
    ['two indices', TEXT.replace('index 5', 'index 5\nindex 5')],
    ['an extra line after the index', TEXT.replace('index 5', 'index 5\nextra AAAA')],
    ['two extra lines', TEXT.replace('index 5', 'extra AAAA\nextra AAAA\nindex 5')],
    ['an extra line that is no base64', TEXT.replace('index 5', 'extra !\nindex 5')],
    ['a short hash', TEXT.replace(HASH_LINE, 'AAAA')],
    ['a hash with stray bits', TEXT.replace('/v4=', '/v5=')],
    ['a space at a line’s end', TEXT.replace(HASH_LINE, `${HASH_LINE} `)],
    ['carriage returns', TEXT.replaceAll('\n', '\r\n')],
    ['no checkpoint', TEXT.slice(0, TEXT.indexOf('\n\n'))],
    ['54 hashes', TEXT.replace(HASH_LINE, Array(54).fill(HASH_LINE).join('\n'))],
    ['too much text', TEXT + 'x'.repeat(MAX_PROOF_CHARS)],
  ])('with %s is refused', (_what, text) => {
    expect(() => parseTlogProof(text)).toThrow(refused)
  })

  it('goes there and back', () => {
    const proof = fc.record(
      {
        index: size,
        path: fc.array(hash, { maxLength: 53 }),
        checkpoint: fc.string(),
        extra: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((e) => Uint8Array.from(e)),
      },
      { requiredKeys: ['index', 'path', 'checkpoint'] },
    )
    fc.assert(
      fc.property(proof, (given) => {
        expect(parseTlogProof(encodeTlogProof(given as TlogProof))).toEqual(given)
      }),
    )
  })
})

describe('a request to a witness', () => {
  const request = { old: 3, proof: [HASH], checkpoint: CHECKPOINT }
  const text = `old 3\n${HASH_LINE}\n\n${CHECKPOINT}`

  it('is as C2SP says', () => {
    expect(encodeAddCheckpoint(request)).toBe(text)
    expect(parseAddCheckpoint(text)).toEqual(request)
    expect(encodeAddCheckpoint({ ...request, old: 0, proof: [] })).toBe(`old 0\n\n${CHECKPOINT}`)
  })

  it.each([
    ['no old size', text.replace('old 3\n', '')],
    ['a leading zero', text.replace('old 3', 'old 03')],
    ['no checkpoint', 'old 3\n'],
    ['64 lines', text.replace(HASH_LINE, Array(64).fill(HASH_LINE).join('\n'))],
    ['a line that is no hash', text.replace(HASH_LINE, 'AAAA')],
    ['another first line', text.replace('old', 'new')],
  ])('with %s is refused', (_what, given) => {
    expect(() => parseAddCheckpoint(given)).toThrow(refused)
  })

  it('goes there and back, and no text fails otherwise than by a refusal', () => {
    const proof = fc.array(hash, { maxLength: 63 })
    fc.assert(
      fc.property(size, proof, fc.string(), (old, path, checkpoint) => {
        const given = { old, proof: path, checkpoint }
        expect(parseAddCheckpoint(encodeAddCheckpoint(given))).toEqual(given)
      }),
    )
    const lines = fc.array(fc.constantFrom('old 1', 'index 0', HASH_LINE, '', 'extra AA==', 'x'))
    fc.assert(
      fc.property(lines, fc.string(), (some, more) => {
        for (const parse of [parseAddCheckpoint, parseTlogProof])
          try {
            parse(some.join('\n') + more)
          } catch (error) {
            expect(error).toEqual(refused)
          }
      }),
    )
  })

  it('may be answered with the size that is known', () => {
    expect(parseKnownSize('0\n')).toBe(0)
    expect(parseKnownSize('20852163\n')).toBe(20_852_163)
    for (const body of ['', '7', '07\n', '7\n\n', ' 7\n', '-1\n', '9007199254740993\n'])
      expect(parseKnownSize(body)).toBeUndefined()
  })
})
