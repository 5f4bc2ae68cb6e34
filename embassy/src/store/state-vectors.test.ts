// The state digest against the vectors that Python made.
import { expect, test } from 'vitest'
import vectors from '../../../protocol/vectors/state.json' with { type: 'json' }
import { digestOf, link, type State } from './registry-rows.ts'

interface Case extends Pick<State, 'coverage' | 'meters'> {
  name: string
  signatures: {
    capability: string
    digest: string
    model: string
    polarity: 'positive' | 'negative'
  }[]
  valid: boolean
  expect?: { state: string }
  stated?: string
}

for (const {
  name,
  valid,
  signatures,
  meters,
  coverage,
  ...of
} of vectors.cases as unknown as Case[])
  test(`state: ${valid ? name : `not ${name}`}`, () => {
    let chain: Buffer = Buffer.alloc(32)
    for (const { digest, ...row } of signatures) chain = link(chain, row, digest)
    const state = { coverage, meters, registry_version: signatures.length }
    const digest = digestOf({ chain: chain.toString('hex'), ...state }).toString('hex')
    if (valid) expect(digest).toBe(of.expect?.state)
    else expect(digest).not.toBe(of.stated)
  })
