// Verdicts in EAR's words, member by member, against what the second verifier says.
import { expect, test } from 'vitest'
import ears from '../../vectors/ear.json' with { type: 'json' }
import bundles from '../../vectors/ear_bundle.json' with { type: 'json' }
import verdicts from '../../vectors/verdict.json' with { type: 'json' }
import { canonicalize } from '../json.ts'
import { parsePolicy } from '../policy.ts'
import { CHECKS } from '../verify/checks.ts'
import { type EarVerifier, earOf } from '../verify/ear.ts'
import type { Verdict } from '../verify/verify-receipt.ts'
import { type Bundle, policyOf, verifyBundle } from './bundle.ts'
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

const sound = verdicts.base as unknown as Bundle
for (const { bundle: of, expect: expected } of bundles.cases)
  test(`ear of a bundle: ${of}`, async () => {
    const { edits } = verdicts.cases.find(({ name }) => name === of)!
    const bundle = edited(sound, edits as Edit[])
    const verdict = await verifyBundle(bundle)
    const { verifier } = bundles.common
    const ear = await earOf(verdict, policyOf(bundle), verifier, bundle.now_ms)
    const told = Object.entries(ear.submods).map(([name, submodule]) => {
      const { checks, outcome } = submodule.ear_verifier_claims
      const cut = checks.map(({ id, required, result }) => ({ id, required, result }))
      return [name, { ...submodule, ear_verifier_claims: { checks: cut, outcome } }]
    })
    expect({ ...ear, submods: Object.fromEntries(told) }).toStrictEqual(expected)
  })
