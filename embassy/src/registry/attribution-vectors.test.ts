// Attribution against the vectors that Python made.
import { expect, test } from 'vitest'
import vectors from '../../../protocol/vectors/attribution.json' with { type: 'json' }
import { attribute, type Signature } from './attribution.ts'

interface Case {
  name: string
  valid: boolean
  observed: number[]
  signatures: { capability: string; polarity: Signature['polarity']; vector: number[] }[]
  expect?: { use: Record<string, number> }
  stated?: Record<string, number>
}

for (const { name, valid, observed, signatures, ...of } of vectors.cases as unknown as Case[])
  test(`attribution: ${valid ? name : `not ${name}`}`, () => {
    const stored = signatures.map(({ vector, ...rest }) => ({
      ...rest,
      vector: Float32Array.from(vector),
    }))
    const use = Object.fromEntries(attribute(Float32Array.from(observed), stored))
    if (valid) expect(use).toEqual(of.expect?.use)
    else expect(use).not.toEqual(of.stated)
  })
