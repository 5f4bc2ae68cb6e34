// Receipts on the wire: one spelling, every member and no other, bounded before anything is parsed.
import { describe, expect, it } from 'vitest'
import { fromBase64url, toBase64url, utf8 } from './bytes.ts'
import { canonicalBytes, canonicalize, parseCanonical } from './json.ts'
import {
  decodeReceipt,
  encodeReceipt,
  encodeReceiptOf,
  leafBytes,
  MAX_RECEIPT_CHARS,
  type Receipt,
} from './receipt.ts'
import type { Statement } from './statement.ts'

const invalid = expect.objectContaining({ code: 'receipt.invalid' })
const refused = expect.objectContaining({
  code: expect.stringMatching(/^(receipt|json|encoding)\./),
})
const digest = 'ab'.repeat(32)
const hash = toBase64url(new Uint8Array(32).fill(1))

const READING: Statement[] = [
  {
    type: 'request.received',
    seq: 0,
    utc_ms: 1,
    mono_us: '1',
    caller: 'anonymous',
    door: 'envelope',
    endpoint: '/v1/completions',
    operation: 'read',
    workload: 'demo',
    workload_digest: digest,
  },
  { type: 'response.released', seq: 1, utc_ms: 2, mono_us: '2', to: 'gateway' },
]
const RECEIPT: Receipt = {
  checkpoint: 'a note\n',
  document: digest,
  index: 5,
  leaf: { kind: 'session', session: '0f'.repeat(16), statements: READING, version: 1 },
  path: [hash, hash],
  quote: { attest: 'AAAA', signature: 'AAAA' },
  version: 1,
}
const encoded = (value: unknown) => toBase64url(canonicalBytes(value))
const withReceipt = (change: Record<string, unknown>) => encoded({ ...RECEIPT, ...change })
const withLeaf = (change: Record<string, unknown>) =>
  withReceipt({ leaf: { ...RECEIPT.leaf, ...change } })
const withStatement = (change: Record<string, unknown>) =>
  withLeaf({ statements: [{ ...READING[0], ...change }, READING[1]] })

describe('a receipt', () => {
  it('comes back as it was', () => {
    const text = encodeReceipt(RECEIPT)
    const { leaf, ...rest } = RECEIPT
    expect(encodeReceiptOf(canonicalize(leaf), rest)).toBe(text)
    expect(text).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(decodeReceipt(text)).toEqual(RECEIPT)
    expect(parseCanonical(fromBase64url(text))).toEqual(RECEIPT)
  })

  it('has a leaf whose bytes are its canonical form', () => {
    expect(leafBytes(RECEIPT.leaf)).toEqual(utf8(canonicalize(RECEIPT.leaf)))
  })

  it('has every member', () => {
    for (const member of Object.keys(RECEIPT)) {
      const { [member as 'version']: _, ...rest } = RECEIPT
      expect(() => decodeReceipt(encoded(rest))).toThrow(invalid)
    }
  })

  it.each([
    ['another member', withReceipt({ extra: 1 })],
    ['another version', withReceipt({ version: 2 })],
    ['a negative index', withReceipt({ index: -1 })],
    ['a short hash in its path', withReceipt({ path: ['AAAA'] })],
    ['a path that is too long', withReceipt({ path: Array(49).fill(hash) })],
    ['a digest in upper case', withReceipt({ document: digest.toUpperCase() })],
    ['a quote with padding', withReceipt({ quote: { attest: 'AA==', signature: 'AAAA' } })],
    [
      'a quote that is too long',
      withReceipt({ quote: { attest: 'A'.repeat(1368), signature: '' } }),
    ],
    ['a checkpoint that is too long', withReceipt({ checkpoint: 'a'.repeat(2049) })],
    [
      'the leaf of a boot',
      withReceipt({ leaf: { key_set: digest, kind: 'boot', started_ms: 1, version: 1 } }),
    ],
    ['another member in its leaf', withLeaf({ extra: 1 })],
    ['a short session id', withLeaf({ session: '0f' })],
    ['no statements', withLeaf({ statements: [] })],
    ['one statement', withLeaf({ statements: READING.slice(0, 1) })],
    ['too many statements', withLeaf({ statements: Array(33).fill(READING[1]) })],
    ['a statement of no type', withStatement({ type: 'seal.opened' })],
    ['another member in a statement', withStatement({ extra: 1 })],
    ['a door that there is not', withStatement({ door: 'back' })],
    ['a time that is no integer string', withStatement({ mono_us: '01' })],
    ['a negative time', withStatement({ mono_us: '-1' })],
    ['a number for a 64-bit string', withStatement({ mono_us: 1 })],
    ['a nonce that is not canonical', withStatement({ nonce: 'AB' })],
    ['null', encoded(null)],
    ['a list', encoded([RECEIPT])],
  ])('with %s is refused', (_what, text) => {
    expect(() => decodeReceipt(text)).toThrow(invalid)
  })

  it('has one spelling', () => {
    const text = encodeReceipt(RECEIPT)
    for (const other of [
      `${text}=`,
      `${text}\n`,
      toBase64url(utf8(JSON.stringify(RECEIPT))),
      toBase64url(utf8(`${canonicalize(RECEIPT)} `)),
      toBase64url(Uint8Array.of(0xef, 0xbb, 0xbf, ...canonicalBytes(RECEIPT))),
      text.slice(0, -4),
      '',
    ])
      if (other !== text) expect(() => decodeReceipt(other)).toThrow(refused)
  })

  it('is bounded before it is decoded', () => {
    expect(() => decodeReceipt('!'.repeat(MAX_RECEIPT_CHARS + 1))).toThrow(invalid)
    expect(() => decodeReceipt('A'.repeat(MAX_RECEIPT_CHARS + 1))).toThrow(invalid)
  })
})
