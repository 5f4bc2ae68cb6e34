// Verdicts in EAR's words, member by member, against what the second verifier says.
import { expect, test } from 'vitest'
import ears from '../../vectors/ear.json' with { type: 'json' }
import { canonicalize } from '../json.ts'
import { parsePolicy } from '../policy.ts'
import { CHECKS } from '../verify/checks.ts'
import { type EarVerifier, earOf } from '../verify/ear.ts'
import type { Verdict } from '../verify/verify-receipt.ts'
import { type Edit, edited } from './run.ts'

interface Given {
  now_ms: number
  policy: unknown
  verdict: Omit<Verdict, 'policy'>
  verifier: EarVerifier
}

const base = ears.base as unknown as Given
for (const { name, edits, expect: expected, valid } of ears.cases)
  test(`ear: ${valid ? 'affirms' : 'does not affirm'} ${name}`, async () => {
    const { now_ms, verdict, verifier, ...given } = edited(base, edits as Edit[])
    const policy = parsePolicy(canonicalize(given.policy))
    const ear = await earOf({ ...verdict, policy: policy.name }, policy, verifier, now_ms)
    expect(ear).toStrictEqual(edited(ears.common.ear, expected.edits as Edit[]))
    expect(canonicalize(policy)).toBe(canonicalize(given.policy))
  })

test('the vectors know every check', () => {
  expect(base.verdict.checks.map(({ id }) => id)).toEqual(Object.keys(CHECKS))
})
