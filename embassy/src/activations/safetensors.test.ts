import { describe, expect, test } from 'vitest'
import { pool } from './pool.ts'
import { isComplete, parseHiddenStates } from './safetensors.ts'

function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data])
}
const f32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
const u16 = (...values: number[]) => new Uint8Array(Uint16Array.from(values).buffer)
const states = (dtype: string, shape: number[], data: Uint8Array) =>
  file({ hidden_states: { dtype, shape, data_offsets: [0, data.length] } }, data)
const refused = expect.objectContaining({ code: 'activations.invalid' })

describe('hidden states', () => {
  test('are read as [tokens, layers, hidden] in F32', () => {
    const read = parseHiddenStates(states('F32', [2, 2, 2], f32(1, 2, 3, 4, 5, 6, 7, 8)))
    expect([read.tokens, read.layers, read.hidden]).toEqual([2, 2, 2])
    expect([...read.row(1, 0), ...read.row(0, 1)]).toEqual([3, 4, 5, 6])
  })

  test('are read in BF16 and F16, subnormals included', () => {
    expect([
      ...parseHiddenStates(states('BF16', [1, 1, 2], u16(0x3f80, 0xc000))).row(0, 0),
    ]).toEqual([1, -2])
    const half = parseHiddenStates(states('F16', [1, 1, 4], u16(0x3c00, 0xc000, 0x0001, 0x7bff)))
    expect([...half.row(0, 0)]).toEqual([1, -2, 2 ** -24, 65504])
  })

  test('are read from one tensor a layer, the last of them pruned to its last rows', () => {
    const header = {
      'layer.0': { dtype: 'F32', shape: [3, 1], data_offsets: [0, 12] },
      'layer.1': { dtype: 'F32', shape: [1, 1], data_offsets: [12, 16] },
    }
    const read = parseHiddenStates(file(header, f32(1, 2, 3, 9)))
    expect([read.tokens, read.layers, read.row(0, 2)[0], read.row(1, 2)[0]]).toEqual([3, 2, 3, 9])
  })

  test('are pooled over the middle layer', () => {
    const read = parseHiddenStates(states('F32', [2, 2, 2], f32(0, 0, 1, 2, 0, 0, 3, 6)))
    expect([...pool(read)]).toEqual([2, 4])
  })
})

describe('a file that cannot be judged is refused', () => {
  const good = states('F32', [1, 1, 2], f32(1, 2))
  test('cut at any byte', () => {
    for (let length = 0; length < good.length; length++) {
      expect(() => parseHiddenStates(good.subarray(0, length))).toThrow(refused)
      expect(isComplete(good.subarray(0, length))).toBe(false)
    }
    expect(isComplete(good)).toBe(true)
  })

  test.each([
    ['bytes after its tensors', Buffer.concat([good, Buffer.of(0)])],
    ['a header that is no JSON', file('{')],
    ['a header that is no object', file('[]')],
    ['an entry that is null', file({ hidden_states: null })],
    ['an entry that is a number', file({ other: 7 })],
    [
      'no hidden states',
      file({ other: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, f32(1)),
    ],
    ['another dtype', states('F64', [1, 1, 1], new Uint8Array(8))],
    ['another rank', states('F32', [1, 2], f32(1, 2))],
    ['a zero dimension', states('F32', [0, 1, 2], f32())],
    ['a shape larger than its data', states('F32', [2, 1, 2], f32(1, 2))],
    [
      'negative offsets',
      file({ hidden_states: { dtype: 'F32', shape: [1, 1, 1], data_offsets: [-4, 0] } }),
    ],
    [
      'fractional dimensions',
      file({ hidden_states: { dtype: 'F32', shape: [0.5, 2, 1], data_offsets: [0, 4] } }, f32(1)),
    ],
    ['a header beyond its bound', Buffer.from('ffffffffffffff7f', 'hex')],
  ])('%s', (_, bytes) => {
    expect(() => parseHiddenStates(bytes)).toThrow(refused)
  })

  test.each([
    ['NaN', f32(Number.NaN, 1)],
    ['infinity', f32(1, Number.NEGATIVE_INFINITY)],
  ])('%s in the pooled layer', (_, data) => {
    expect(() => pool(parseHiddenStates(states('F32', [1, 1, 2], data)))).toThrow(refused)
  })

  test('half-precision infinity and NaN', () => {
    for (const bits of [0x7c00, 0xfc00, 0x7e00])
      expect(() => pool(parseHiddenStates(states('F16', [1, 1, 1], u16(bits))))).toThrow(refused)
    for (const bits of [0x7f80, 0xff80, 0x7fc0])
      expect(() => pool(parseHiddenStates(states('BF16', [1, 1, 1], u16(bits))))).toThrow(refused)
  })

  test('all zero', () => {
    expect(() => pool(parseHiddenStates(states('F32', [1, 1, 2], f32(0, 0))))).toThrow(refused)
  })
})
