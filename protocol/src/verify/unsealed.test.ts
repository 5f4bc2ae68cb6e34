// A machine that cannot seal, and whoever holds its receipts or a sealed machine's: nothing of it verifies, under no
// policy that can be written, and no part of the one makes the other pass.
//
// Mutants that turn this red: a receipt's quote that need not stand unless `tpm.absent` is said; a document whose evidence
// need not stand; `acceptSession` without its look at `seal.absent` and `tpm.absent`, or at `unsealed`; `document.ak` or
// `document.configuration` without theirs; a missing quote that is skipped instead of failed; `boot absent` taken for a name.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import verdicts from '../../vectors/verdict.json' with { type: 'json' }
import { toBase64url } from '../bytes.ts'
import { canonicalBytes } from '../json.ts'
import { type Policy, policySchema, STRICT_POLICY } from '../policy.ts'
import { check } from '../schema.ts'
import { type Bundle, verifyBundle } from '../vectors/bundle.ts'
import { type Edit, edited } from '../vectors/run.ts'

const base = verdicts.base as unknown as Bundle & { policy: Policy }
function bundle(name: string): Bundle {
  const { edits } = verdicts.cases.find((each) => each.name === name)!
  return edited(base, edits as Edit[])
}
const UNSEALED = verdicts.cases
  .map(({ name }) => name)
  .filter((name) => name.startsWith('an unsealed machine: '))

/** Any policy that there can be, as far as the machine of the vectors could fit it. */
const policies = fc.record({
  ak_roots: fc.constantFrom(base.policy.ak_roots, ['00'.repeat(32)]),
  authorities: fc.constantFrom([], base.policy.authorities),
  evidence: fc
    .subarray(['event-log', 'tee', 'sev-snp', 'tdx'] as const)
    .map((kinds): Policy['evidence'] => ['tpm', ...kinds]),
  images: fc.constantFrom(
    [],
    [{ name: 'any', pcrs: [{ digests: ['00'.repeat(32)], index: 9 }], version: '1' }],
  ),
  metering: fc.constantFrom('optional' as const, 'required' as const),
  name: fc.constant('any'),
  seal_policies: fc.subarray(['request', 'epoch', 'permanent'] as const, { minLength: 1 }),
  version: fc.constant(1 as const),
  workloads: fc.constantFrom([], base.policy.workloads),
})

const failed = async (given: Bundle) => {
  const { checks, outcome } = await verifyBundle(given)
  const reasons = checks.filter(({ result }) => result === 'fail').map(({ reason }) => reason)
  return { outcome, reasons: [...new Set(reasons)].join('\n') }
}

describe('a machine that cannot seal', () => {
  it('fails under any policy, whatever was asked of it', async () => {
    expect(UNSEALED.length).toBeGreaterThan(8)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...UNSEALED), policies, async (name, policy) => {
        check(policySchema, policy, 'policy', 'config.invalid')
        expect((await failed({ ...bundle(name), policy })).outcome).toBe('failed')
      }),
      { numRuns: 60 },
    )
  })

  it('fails under the built-in policy, which says plainly why', async () => {
    const { outcome, reasons } = await failed({ ...bundle(UNSEALED[0]!), policy: STRICT_POLICY })
    expect(outcome).toBe('failed')
    expect(reasons).toContain('this machine neither seals nor has a TPM')
    expect(reasons).toContain('seal.absent: ')
    expect(reasons).toContain('there is no quote')
    expect(reasons).toContain('the checkpoint says that there was no TPM')
  })

  it('can be accepted by no policy: none names what it is, none does without a TPM', () => {
    const wrong = (change: object) => () =>
      check(policySchema, { ...base.policy, ...change }, 'policy', 'config.invalid')
    for (const evidence of [[], ['event-log'], ['none'], ['absent', 'tpm']])
      expect(wrong({ evidence })).toThrow()
    for (const seal_policies of [[], ['absent'], ['none'], ['request', 'absent']])
      expect(wrong({ seal_policies })).toThrow()
    expect(wrong({ unsealed: 'privileges' })).toThrow()
  })
})

type Members = Record<string, unknown>
const subsets = (members: readonly string[]): string[][] =>
  members.reduce<string[][]>((all, each) => all.flatMap((some) => [some, [...some, each]]), [[]])
const graft = (onto: Members, from: Members, members: readonly string[]): Members => {
  const made = { ...onto }
  for (const member of members) {
    if (from[member] === undefined) delete made[member]
    else made[member] = from[member]
  }
  return made
}

describe('a sealed machine and one that is not, of one key set and one ledger key', () => {
  // What both would show: the second is what whoever holds the ledger key outside of the machine can make.
  const other = {
    document: bundle("a sealed machine's document made one of an unsealed one").document,
    receipt: bundle('a downgrade: signed anew by the ledger key').receipt,
  } as unknown as Record<'document' | 'receipt', Members>
  const genuine = base as unknown as Record<'document' | 'receipt', Members>

  it('verify in no mixture of their documents and receipts but the genuine one', async () => {
    const passed: string[] = []
    for (const document of subsets(['ak', 'configuration', 'pcrs', 'quote']))
      for (const receipt of subsets(['checkpoint', 'leaf', 'quote'])) {
        const mixed = {
          ...base,
          document: graft(genuine.document, other.document, document),
          receipt: toBase64url(canonicalBytes(graft(genuine.receipt, other.receipt, receipt))),
        } as unknown as Bundle
        const { outcome } = await verifyBundle(mixed)
        if (outcome !== 'failed') passed.push([...document, '|', ...receipt].join(' '))
      }
    expect(passed).toEqual(['|'])
  })
})
