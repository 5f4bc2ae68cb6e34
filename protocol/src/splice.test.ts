import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8 } from './bytes.ts'
import { spliceReceipt, unspliceReceipt } from './splice.ts'

const space = fc.stringMatching(/^[ \t\r\n]{0,4}$/)
const receipts = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const objects = fc
  .dictionary(
    fc.string().filter((name) => name !== 'receipt' && name !== '__proto__'),
    fc.jsonValue(),
    { minKeys: 1 },
  )
  .map((value) => JSON.stringify(value, null, 1))

describe('a spliced receipt', () => {
  it('leaves every byte of the answer as it was, and comes out again', () => {
    fc.assert(
      fc.property(objects, space, space, receipts, (object, before, after, receipt) => {
        const answer = utf8(before + object + after)
        const spliced = spliceReceipt(answer, receipt)!
        const text = new TextDecoder().decode(spliced)
        const added = `,"receipt":"${receipt}"`
        expect(text).toBe(`${before}${object.slice(0, -1)}${added}}${after}`)
        expect(JSON.parse(text).receipt).toBe(receipt)
        expect(unspliceReceipt(spliced)).toEqual({ output: answer, receipt })
      }),
    )
  })

  it('is refused where the workload wrote one, however it spelled the name', () => {
    for (const body of [
      '{"receipt":"x"}',
      '{"a":1,"receipt":null}',
      '{"\\u0072eceipt":1}',
      '{"receipt":1,"receipt":2}',
    ])
      expect(() => spliceReceipt(utf8(body), 'r')).toThrow(
        expect.objectContaining({ code: 'workload.failed' }),
      )
  })

  it('may stand beside a receipt further inside', () => {
    const answer = utf8('{"a":{"receipt":"inner"}}')
    expect(new TextDecoder().decode(spliceReceipt(answer, 'r')!)).toBe(
      '{"a":{"receipt":"inner"},"receipt":"r"}',
    )
  })

  it('is not put into anything but an object with members', () => {
    for (const body of ['{}', ' { } ', '[]', '[{"a":1}]', '"}"', '1', 'null', '', '{"a":1', 'x}'])
      expect(spliceReceipt(utf8(body), 'r')).toBeUndefined()
    const bom = Uint8Array.of(0xef, 0xbb, 0xbf, ...utf8('{"a":1}'))
    expect(spliceReceipt(bom, 'r')).toBeUndefined()
    expect(spliceReceipt(Uint8Array.of(0x7b, 0xff, 0x7d), 'r')).toBeUndefined()
  })

  it('is found in nothing else', () => {
    for (const body of [
      '',
      '}',
      '"}',
      '{"receipt":"r"}',
      '{"a":1,"receipt":""}',
      '{"a":1,"receipt":"r"',
      '{"a":1,"receipt": "r"}',
      '{"a":1,"receipt":"+"}',
      '{"a":1,"recipe":"r"}',
    ])
      expect(unspliceReceipt(utf8(body))).toBeUndefined()
  })
})
