import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadWeights } from './weights.ts'

const MODEL = join(import.meta.dirname, '..', 'model')

function file(dtype: string, ...halves: number[]): Buffer {
  const header = Buffer.from(
    JSON.stringify({ x: { dtype, shape: [halves.length], data_offsets: [0, 2 * halves.length] } }),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, Buffer.from(Uint16Array.from(halves).buffer)])
}

test('widens half-precision floats exactly', () => {
  const known: [bits: number, value: number][] = [
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x83ff, -1023 * 2 ** -24],
    [0x3555, 0.333251953125],
  ]
  const widened = loadWeights(file('F16', ...known.map(([bits]) => bits)))('x')
  expect([...widened]).toEqual(known.map(([, value]) => value))
})

test.each([
  ['infinite', 0x7c00],
  ['no number', 0x7e01],
])('refuses weights that are %s', (_, bits) => {
  expect(() => loadWeights(file('F16', bits))('x')).toThrow('not finite, at 0')
})

test('refuses a tensor that is missing or of another type', () => {
  expect(() => loadWeights(file('F16', 0))('y')).toThrow('no F16 tensor y')
  expect(() => loadWeights(file('BF16', 0))('x')).toThrow('no F16 tensor x')
})

test('the committed model is the one that its checksums name', () => {
  const sums = readFileSync(join(MODEL, 'SHA256SUMS'), 'utf8').trim().split('\n')
  expect(sums).toHaveLength(3)
  for (const line of sums) {
    const [sum, name] = line.split('  ') as [string, string]
    expect(
      createHash('sha256')
        .update(readFileSync(join(MODEL, name)))
        .digest('hex'),
    ).toBe(sum)
  }
})
