// Every check of an SEV-SNP report, each failed by a lie of its own: the processor signs what the test makes it say, so
// that exactly the check named here, and no other, must see through it.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, fromBase64url, toBase64url } from '../bytes.ts'
import type { CheckId } from './checks.ts'
import { failures } from './test-scene.ts'
import {
  amdExtension,
  derInteger,
  makeSnp,
  type Processor,
  type SnpFields,
  TCB,
} from './test-snp.ts'
import { TEE, TeeScene, type Told } from './test-tee-scene.ts'
import { caExtensions } from './test-tpm.ts'
import { hexOf, NOW } from './test-world.ts'

let scene: TeeScene
beforeAll(async () => {
  scene = await TeeScene.create()
})

const set = (at: number, ...values: number[]) => ({
  report: (bytes: Bytes) => bytes.set(values, at),
})
/** A report and a VCEK that agree on a chip id, but not on what such a processor has. */
const chipOf = (processor: Processor, id: Bytes): SnpFields => ({
  processor,
  extensions: { 4: id },
  report: (bytes) => bytes.fill(0, 0x1a0, 0x1e0).set(id, 0x1a0),
})

type SnpCase = [lie: string, fails: CheckId, fields: SnpFields, told?: Told]
const SNP: SnpCase[] = [
  ['a root that the policy does not name', TEE.chain, {}, { snp: { roots: [hexOf(9)] } }],
  ['a root where the policy names none of its own', TEE.chain, {}, { policy: { tee: {} } }],
  ['a chain that is over', TEE.chain, { leaf: { notAfter: new Date(NOW - 1000) } }],
  ['an ASK that is no CA', TEE.chain, { middle: { extensions: [] } }],
  ['a VCEK that is a CA', TEE.chain, { more: caExtensions() }],
  ['REPORT_DATA of another machine', TEE.binding, {}, { data: new Uint8Array(64) }],
  ['a chip that is not the VCEK’s', TEE.tcb, set(0x1a0, 0, 0, 0)],
  ['CHIP_ID masked', TEE.tcb, set(0x48, 2)],
  ['a reported level above the VCEK’s', TEE.tcb, set(0x186, 23)],
  ['a reported level below the VCEK’s', TEE.tcb, set(0x186, 21)],
  ['a VCEK of older microcode', TEE.tcb, { extensions: { '3.8': derInteger(210) } }],
  ['a VCEK without a level', TEE.tcb, { extensions: { '3.2': undefined } }],
  ['a VCEK with a reserved level', TEE.tcb, { extensions: { '3.5': derInteger(1) } }],
  [
    'a VCEK with a level of two bytes',
    TEE.tcb,
    { extensions: { '3.8': Uint8Array.of(2, 2, 1, 1) } },
  ],
  [
    'a VCEK with a level in another spelling',
    TEE.tcb,
    { extensions: { '3.1': Uint8Array.of(2, 2, 0, 4) } },
  ],
  [
    'a VCEK with FMC, of a processor that has none',
    TEE.tcb,
    { extensions: { '3.9': derInteger(0) } },
  ],
  ['a VCEK with a short chip id', TEE.tcb, chipOf('milan', new Uint8Array(8).fill(9))],
  ['a Turin VCEK with a long chip id', TEE.tcb, chipOf('turin', new Uint8Array(64).fill(9, 0, 8))],
  ['a VCEK without a chip id', TEE.tcb, { extensions: { 4: undefined } }],
  ['a VLEK in the place of the VCEK', TEE.tcb, { extensions: { 5: Uint8Array.of(0x16, 1, 0x41) } }],
  ['less running than committed to', TEE.tcb, set(0x1e6, 23)],
  [
    'less running than reported',
    TEE.tcb,
    { ...set(0x186, 23), extensions: { '3.3': derInteger(23) } },
  ],
  ['less running than launched', TEE.tcb, set(0x1f6, 23)],
  ['firmware older than committed to', TEE.tcb, set(0x1e8, 20)],
  ['a minor version older than committed to', TEE.tcb, set(0x1e9, 54)],
  ['a major version older than committed to', TEE.tcb, set(0x1ea, 0)],
  ['levels below the policy’s', TEE.tcb, {}, { snp: { min_tcb: { snp: 23 } } }],
  [
    'a reported level below the policy’s',
    TEE.tcb,
    { ...set(0x186, 21), extensions: { '3.3': derInteger(21) } },
    { snp: { min_tcb: { snp: 22 } } },
  ],
  ['a level that the processor lacks', TEE.tcb, {}, { snp: { min_tcb: { fmc: 0 } } }],
  [
    'a launch below the policy’s levels',
    TEE.tcb,
    set(0x1f7, 1),
    { snp: { min_tcb: { microcode: 2 } } },
  ],
  [
    'a commitment below the policy’s levels',
    TEE.tcb,
    set(0x1e7, 1),
    { snp: { min_tcb: { microcode: 2 } } },
  ],
  ['a VLEK', TEE.signature, set(0x48, 4)],
  ['no signing key', TEE.signature, set(0x48, 0x1c)],
  ['debugging', TEE.guest, set(0x0a, 0x0a)],
  ['a migration agent', TEE.guest, set(0x0a, 0x06)],
  ['SMT', TEE.guest, set(0x0a, 0x03)],
  ['SMT, where the policy says no', TEE.guest, set(0x0a, 0x03), { snp: { allow_smt: false } }],
  ['a report asked for at VMPL 1', TEE.guest, set(0x30, 1)],
  ['a report that the host asked for', TEE.guest, set(0x30, 0xff, 0xff, 0xff, 0xff)],
  [
    'a measurement that is not accepted',
    TEE.reference,
    {},
    { snp: { measurements: ['00'.repeat(48)] } },
  ],
  ['version 1', TEE.form, { version: 1 }],
  ['version 6', TEE.form, { version: 6 }],
  ['version 65538', TEE.form, set(0x02, 1)],
  ['a guest policy without its one bit', TEE.form, set(0x0a, 0)],
  ['a guest policy with bit 26', TEE.form, set(0x0b, 4)],
  ['a guest policy with bit 63', TEE.form, set(0x0f, 0x80)],
  ['another signature algorithm', TEE.form, set(0x34, 2)],
  ['platform bit 6', TEE.form, set(0x40, 0x40)],
  ['platform bit 8', TEE.form, set(0x41, 1)],
  ['unknown flags', TEE.form, set(0x48, 0x20)],
  ['another processor family', TEE.form, set(0x188, 0x17)],
  ['a level where none is defined', TEE.form, set(0x182, 1)],
  ['mitigations before version 5', TEE.form, { version: 4, ...set(0x1f8, 1) }],
  ['a processor family before version 3', TEE.form, { version: 2, ...set(0x188, 0x19) }],
  ['no certificates', TEE.form, {}, { quoted: (r) => delete r.certificates }],
  ['two certificates', TEE.form, {}, { quoted: (r) => r.certificates!.pop() }],
  ['four certificates', TEE.form, {}, { quoted: (r) => r.certificates!.push(r.certificates![2]!) }],
  [
    'an event log',
    TEE.form,
    {},
    {
      quoted: (r) => {
        r.event_log = 'AAAA'
      },
    },
  ],
  [
    'a byte too many',
    TEE.form,
    {},
    {
      quoted: (r) => {
        r.report = toBase64url(Uint8Array.of(...fromBase64url(r.report), 0))
      },
    },
  ],
  [
    'a byte too few',
    TEE.form,
    {},
    {
      quoted: (r) => {
        r.report = toBase64url(fromBase64url(r.report).slice(0, -1))
      },
    },
  ],
  [
    'a kind that the policy does not ask for',
    TEE.form,
    {},
    { policy: { evidence: ['tpm', 'tdx'] } },
  ],
  [
    'another kind’s name',
    TEE.form,
    {},
    {
      quoted: (r) => {
        r.kind = 'tdx'
      },
    },
  ],
]
const RESERVED = [0x4c, 0x4f, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x1f8, 0x29f]
for (const at of RESERVED) SNP.push([`a reserved byte at ${at.toString(16)}`, TEE.form, set(at, 1)])

describe('an SEV-SNP report', () => {
  it.each([2, 3, 4, 5])('of version %i verifies', async (version) => {
    const verdict = await scene.snp({ version })
    expect(failures(verdict)).toEqual([])
    expect(verdict.outcome).toBe('verified')
  })

  it('of Turin verifies, with its own order of levels', async () => {
    const min_tcb = { fmc: 1, bootloader: 4, tee: 1, snp: 3, microcode: 66 }
    const verdict = await scene.snp({ processor: 'turin', version: 5 }, { snp: { min_tcb } })
    expect(failures(verdict)).toEqual([])
    for (const part of Object.keys(min_tcb) as (keyof typeof min_tcb)[]) {
      const more = { ...min_tcb, [part]: min_tcb[part] + 1 }
      const less = await scene.snp({ processor: 'turin' }, { snp: { min_tcb: more } })
      expect(failures(less), part).toEqual([TEE.tcb])
    }
  })

  it('of Milan has each of its levels judged', async () => {
    const min_tcb = { bootloader: 4, tee: 1, snp: 22, microcode: 211 }
    expect(failures(await scene.snp({}, { snp: { min_tcb } }))).toEqual([])
    for (const part of Object.keys(min_tcb) as (keyof typeof min_tcb)[]) {
      const more = { ...min_tcb, [part]: min_tcb[part] + 1 }
      expect(failures(await scene.snp({}, { snp: { min_tcb: more } })), part).toEqual([TEE.tcb])
    }
  })

  it('may allow SMT where the policy does', async () => {
    const verdict = await scene.snp(set(0x0a, 0x03), { snp: { allow_smt: true } })
    expect(failures(verdict)).toEqual([])
  })

  it('may be of a host that has updated since, and has not committed', async () => {
    const current = TCB.milan.with(6, 23)
    const fields = {
      report: (bytes: Bytes) => {
        bytes.set(current, 0x38)
        bytes.set([0, 56, 1], 0x1e8)
      },
    }
    expect(failures(await scene.snp(fields))).toEqual([])
  })

  it.each(SNP)('with %s fails %s', async (_lie, fails, fields, told) => {
    const verdict = await scene.snp(fields, told)
    expect(failures(verdict)).toEqual([fails])
    expect(verdict.outcome).toBe('failed')
  })

  it('signed by another key fails', async () => {
    const verdict = await scene.snp({ signingKey: (await p384()).privateKey })
    expect(failures(verdict)).toEqual([TEE.signature])
  })

  it('whose chain is of another chip fails', async () => {
    const other = await makeSnp(await scene.dataFor())
    const verdict = await scene.snp(
      {},
      {
        quoted: (r) => {
          r.certificates = other.record.certificates!
        },
        snp: { roots: [other.root] },
      },
    )
    expect(failures(verdict)).toEqual([TEE.signature, TEE.tcb])
  })

  it('with an extension twice fails', async () => {
    const verdict = await scene.snp({ more: [amdExtension('3.1', derInteger(3))] })
    expect(failures(verdict)).toEqual([TEE.chain, TEE.tcb])
  })

  it('of the same machine that the TPM did not quote fails', async () => {
    const other = await makeSnp(await scene.dataFor())
    const verdict = await scene.snp(
      {},
      {
        snp: { roots: [other.root] },
        unquoted: (r) => {
          Object.assign(r, other.record)
        },
      },
    )
    expect(failures(verdict)).toEqual(['document.quote_binding'])
  })
})

const p384 = async () =>
  (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
