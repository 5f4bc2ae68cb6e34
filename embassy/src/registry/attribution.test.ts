import { describe, expect, test } from 'vitest'
import { attribute, baseline, type Signature } from './attribution.ts'

const signature = (
  capability: string,
  vector: number[],
  polarity: Signature['polarity'] = 'positive',
): Signature => ({
  capability,
  polarity,
  vector: Float32Array.from(vector),
})

describe('cosine-max-1', () => {
  test('gives exactly 1.0 for an input that was written', () => {
    const vector = Array.from({ length: 128 }, (_, i) => Math.sin(i) * 3)
    const others = [
      signature(
        'b',
        vector.map((x) => x + 1),
      ),
      signature(
        'c',
        vector.map((_, i) => Math.cos(i)),
      ),
    ]
    expect(attribute(Float32Array.from(vector), [signature('a', vector), ...others]).get('a')).toBe(
      1_000_000,
    )
  })

  test('is centred on the mean of all signatures', () => {
    // Mean (2, 2): seen from there, x = (4, 2) lies along a − b and across nothing else.
    const signatures = [signature('a', [3, 2]), signature('b', [1, 2]), signature('c', [2, 2])]
    const use = attribute(Float32Array.from([4, 2]), signatures)
    expect([...use]).toEqual([
      ['a', 1_000_000],
      ['b', 0],
      ['c', 0],
    ])
  })

  test('is not centred while there is one signature', () => {
    expect(baseline([signature('a', [3, 4])], 2)).toEqual(new Float64Array(2))
    expect(attribute(Float32Array.from([4, 3]), [signature('a', [3, 4])]).get('a')).toBe(960_000)
  })

  test('takes the nearest of a capability’s signatures and never a negative one', () => {
    const signatures = [
      signature('a', [1, 0]),
      signature('a', [0, 1]),
      signature('n', [1, 1], 'negative'),
    ]
    const use = attribute(Float32Array.from([0, 1]), signatures)
    expect(use.get('a')).toBe(1_000_000)
    expect(use.has('n')).toBe(false)
  })

  test('never compares vectors of different models', () => {
    expect(attribute(Float32Array.from([1, 0]), [signature('a', [1, 0, 0])]).size).toBe(0)
  })

  test('charges nothing for a vector without direction', () => {
    expect(attribute(Float32Array.from([0, 0]), [signature('a', [1, 0])]).get('a')).toBe(0)
  })
})
