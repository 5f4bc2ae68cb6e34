// A verifier's policy: what a file may say, and that the default accepts nothing it was not told of.
import { describe, expect, it } from 'vitest'
import { utf8 } from './bytes.ts'
import { GOOGLE_AK_ROOTS, parsePolicy, STRICT_POLICY } from './policy.ts'

const invalid = expect.objectContaining({ code: 'config.invalid' })
const digest = 'ab'.repeat(32)
const ROW = { digests: [digest], index: 4 }
const POLICY = {
  ak_roots: [digest],
  authorities: ['cd'.repeat(16)],
  evidence: ['tpm', 'event-log'],
  images: [
    { name: 'sealed', pcrs: [{ digests: [digest], index: 11 }], uki: [digest], version: '7' },
  ],
  instances: { projects: ['ours'], zones: ['europe-west4-a', 'europe-west4-b'] },
  max_age_ms: 60_000,
  metering: 'required',
  name: 'ours',
  seal_policies: ['request'],
  version: 1,
  workloads: [digest],
}
const parse = (change: Record<string, unknown> = {}) =>
  parsePolicy(JSON.stringify({ ...POLICY, ...change }, null, 2))

describe('a policy file', () => {
  it('is taken as it stands', () => {
    expect(parse()).toEqual(POLICY)
  })

  it('has every member but age and places, and no other', () => {
    for (const member of Object.keys(POLICY)) {
      const { [member as 'name']: _, ...rest } = POLICY
      if (member === 'max_age_ms' || member === 'instances')
        expect(parsePolicy(JSON.stringify(rest))).toEqual(rest)
      else expect(() => parsePolicy(JSON.stringify(rest)), member).toThrow(invalid)
    }
    expect(() => parse({ skip: ['document.ak'] })).toThrow(invalid)
  })

  it.each([
    ['ak_roots', [[], ['AB'.repeat(32)], 'any']],
    ['evidence', [[], ['event-log'], ['tpm', 'sgx']]],
    ['max_age_ms', [0, -1, '1', null]],
    ['metering', ['off', null]],
    [
      'images',
      [
        [{ name: 'a', pcrs: [], version: '1' }],
        [{ name: 'a', pcrs: [{ digests: [], index: 4 }], version: '1' }],
        [{ name: 'a', pcrs: [{ digests: [digest], index: 24 }], version: '1' }],
        [{ name: 'a', pcrs: [{ index: 4 }], version: '1' }],
        [{ name: 'a', pcrs: [ROW, ROW], version: '1' }],
        [{ name: 'a', pcrs: [ROW], uki: [], version: '1' }],
        [{ name: 'a', pcrs: [ROW], uki: digest, version: '1' }],
        [{ name: 'a', pcrs: [ROW] }],
      ],
    ],
    [
      'instances',
      [{ projects: [] }, { zones: 'europe-west4-a' }, { regions: ['europe-west4'] }, null],
    ],
    ['seal_policies', [[], ['none']]],
    ['version', [0, 2]],
    ['workloads', [['*'], null]],
  ])('has %s as specified', (member, values) => {
    for (const value of values) expect(() => parse({ [member]: value })).toThrow(invalid)
  })

  it('may be given as the bytes of its file', () => {
    expect(parsePolicy(utf8(JSON.stringify(POLICY)))).toEqual(POLICY)
    const bytes = Uint8Array.of(0xff, 0xfe)
    expect(() => parsePolicy(bytes)).toThrow(expect.objectContaining({ code: 'encoding.invalid' }))
  })

  it('has no member twice', () => {
    const text = JSON.stringify(POLICY).replace('{', '{"version":1,')
    expect(() => parsePolicy(text)).toThrow(expect.objectContaining({ code: 'json.invalid' }))
  })
})

describe('what a policy says of TEE evidence', () => {
  const measurement = 'ef'.repeat(48)

  it('may be all or nothing', () => {
    const snp = {
      allow_smt: true,
      measurements: [measurement],
      min_tcb: { bootloader: 4, fmc: 0, microcode: 255, snp: 22, tee: 0 },
      roots: [digest],
    }
    const rtmrs = [{ digests: [measurement], index: 3 }]
    const tdx = { mr_seam: [measurement], mrtd: [measurement], roots: [digest], rtmrs }
    for (const tee of [{}, { snp: {} }, { tdx: {} }, { snp: { min_tcb: {} } }, { snp, tdx }])
      expect(parse({ evidence: ['tpm', 'tee'], tee }).tee).toEqual(tee)
  })

  it.each([
    [{ sgx: {} }],
    [{ snp: { allow_debug: true } }],
    [{ snp: { allow_smt: 1 } }],
    [{ snp: { measurements: [] } }],
    [{ snp: { measurements: [digest] } }],
    [{ snp: { min_tcb: { snp: 256 } } }],
    [{ snp: { min_tcb: { spl4: 1 } } }],
    [{ snp: { roots: [] } }],
    [{ tdx: { mrtd: [measurement.toUpperCase()] } }],
    [{ tdx: { mr_seam: [] } }],
    [{ tdx: { roots: ['any'] } }],
    [{ tdx: { rtmrs: [] } }],
    [{ tdx: { rtmrs: [{ digests: [measurement], index: 4 }] } }],
    [{ tdx: { rtmrs: [{ digests: [], index: 0 }] } }],
  ])('is not %j', (tee) => {
    expect(() => parse({ tee })).toThrow(invalid)
  })
})

describe('the default', () => {
  it('is a policy that a file could state', () => {
    expect(parsePolicy(JSON.stringify(STRICT_POLICY))).toEqual(STRICT_POLICY)
  })

  it('takes real hardware’s word, and knows no workload', () => {
    expect(STRICT_POLICY.ak_roots).toEqual(GOOGLE_AK_ROOTS)
    expect(STRICT_POLICY.evidence).toEqual(['tpm', 'event-log', 'tee'])
    expect([STRICT_POLICY.workloads, STRICT_POLICY.metering]).toEqual([[], 'required'])
  })
})
