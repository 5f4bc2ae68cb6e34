// Verdicts over whole bundles, honest and not, against what the second verifier says: check by check, not only overall.
import { describe, expect, test } from 'vitest'
import verdicts from '../../vectors/verdict.json' with { type: 'json' }
import { CHECKS } from '../verify/checks.ts'
import { type Bundle, verifyBundle } from './bundle.ts'
import { type Edit, edited } from './run.ts'

const base = verdicts.base as unknown as Bundle
for (const { name, edits, expect: expected } of verdicts.cases)
  test(`verdict: ${expected.outcome}: ${name}`, async () => {
    const { checks, outcome } = await verifyBundle(edited(base, edits as Edit[]))
    const ids = (wanted: string) =>
      checks.filter(({ result }) => result === wanted).map(({ id }) => id)
    expect({ failed: ids('fail'), outcome, skipped: ids('skip') }).toEqual(expected)
    expect(checks.map(({ id }) => id)).toEqual(Object.keys(CHECKS))
  })

describe('the vectors', () => {
  test('hold a lie for every check there is', () => {
    const lies = new Set(verdicts.cases.flatMap(({ expect: { failed } }) => failed as string[]))
    expect([...lies].sort()).toEqual(Object.keys(CHECKS).sort())
  })
})
