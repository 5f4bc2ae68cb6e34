// Every check of a TDX quote, each failed by a lie of its own: the processor, its quoting enclave and the PCK sign what the
// test makes them say, so that exactly the check named here, and no other, must see through it.
import { beforeAll, describe, expect, it } from 'vitest'
import type { TeeReport } from '../attestation.ts'
import { type Bytes, fromBase64url, toBase64url } from '../bytes.ts'
import { unpaddedTdxQuote } from '../tee/tdx-quote.ts'
import type { CheckId } from './checks.ts'
import { failures } from './test-scene.ts'
import { BODY, bodyAt, makeTdx, SGX_EXTENSION, type TdxFields } from './test-tdx.ts'
import { entry, MRTD, TEE, TeeScene, type Told } from './test-tee-scene.ts'
import { hexOf, NOW } from './test-world.ts'

let scene: TeeScene
beforeAll(async () => {
  scene = await TeeScene.create()
})

const pair = async (namedCurve: string) =>
  (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve }, true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair

/** The document's quote with one byte larger by one: what no signature covers. */
const plusOne =
  (at: number) =>
  (record: TeeReport): void => {
    const bytes = fromBase64url(record.report)
    bytes[at]! += 1
    record.report = toBase64url(bytes)
  }

type TdxCase = [lie: string, fails: CheckId, fields: TdxFields, told?: Told]
const body = (at: number, ...values: number[]): TdxFields => ({
  quote: (bytes) => bytes.set(values, bodyAt() + at),
})
const header = (at: number, ...values: number[]): TdxFields => ({
  quote: (bytes) => bytes.set(values, at),
})
const qe = (at: number, ...values: number[]): TdxFields => ({
  qe: (bytes) => bytes.set(values, at),
})
const attributes = BODY.tdAttributes
const TDX: TdxCase[] = [
  ['a root that the policy does not name', TEE.chain, {}, { tdx: { roots: [hexOf(9)] } }],
  ['a root where the policy names none of its own', TEE.chain, {}, { policy: { tee: {} } }],
  ['a chain that is over', TEE.chain, { middle: { notAfter: new Date(NOW - 1000) } }],
  ['a PCK CA that is no CA', TEE.chain, { middle: { extensions: [] } }],
  ['a leaf that is no PCK', TEE.chain, { leaf: { extensions: [] } }],
  [
    'a leaf that states its platform twice',
    TEE.chain,
    { leaf: { extensions: [SGX_EXTENSION, SGX_EXTENSION] } },
  ],
  ['REPORT_DATA of another machine', TEE.binding, {}, { data: new Uint8Array(64) }],
  [
    'an attestation key that the enclave did not name',
    TEE.signature,
    { namedKey: new Uint8Array(64) },
  ],
  ['more in the enclave’s report data', TEE.signature, qe(383, 1)],
  ['an enclave that another signed', TEE.signature, qe(128, 0)],
  ['another enclave of Intel’s', TEE.signature, qe(256, 1)],
  ['an enclave that is debugged', TEE.signature, qe(48, 0x17)],
  ['an enclave without the provisioning key', TEE.signature, qe(48, 0x05)],
  ['an enclave with other features', TEE.signature, qe(16, 1)],
  ['debugging', TEE.guest, body(attributes, 1)],
  ['profiling', TEE.guest, body(attributes, 0x10)],
  ['migration', TEE.guest, body(attributes + 3, 0x30)],
  ['attributes that are not known', TEE.guest, body(attributes + 4, 1)],
  ['a module that Intel did not sign', TEE.guest, body(BODY.mrSignerSeam + 47, 1)],
  ['a module that is debugged', TEE.guest, body(BODY.seamAttributes, 1)],
  ['a service TD', TEE.guest, { version: 5, type: 3, quote: (b) => b.set([1], 54 + 647) }],
  ['an MRTD that is not accepted', TEE.reference, body(BODY.mrTd, 0)],
  ['an MRSEAM that is not accepted', TEE.reference, {}, { tdx: { mr_seam: [MRTD] } }],
  [
    'an RTMR that is not accepted',
    TEE.reference,
    {},
    { tdx: { rtmrs: [{ digests: ['01'.repeat(48)], index: 2 }] } },
  ],
  ['version 3', TEE.form, header(0, 3)],
  ['version 6', TEE.form, header(0, 6)],
  ['another kind of key', TEE.form, header(2, 3)],
  ['SGX in place of TDX', TEE.form, header(4, 0)],
  ['a reserved byte in its header', TEE.form, header(8, 1)],
  ['another vendor’s enclave', TEE.form, header(12, 0)],
  ['body type 1', TEE.form, { version: 5, ...header(48, 1) }],
  ['a type of another length', TEE.form, { version: 5, ...header(48, 3) }],
  ['a body of another length', TEE.form, { version: 5, ...header(50, 0) }],
  ['reserved bytes of the enclave’s report', TEE.form, qe(20, 1)],
  ['reserved bytes behind MRENCLAVE', TEE.form, qe(127, 1)],
  ['reserved bytes behind MRSIGNER', TEE.form, qe(255, 1)],
  ['reserved bytes behind ISVSVN', TEE.form, qe(319, 1)],
  ['two certificates', TEE.form, { certificates: (chain) => chain.slice(0, 2) }],
  ['four certificates', TEE.form, { certificates: (chain) => [...chain, chain[2]!] }],
  ['bytes behind the certificates', TEE.form, { rest: Uint8Array.of(0) }],
  ['another length of its signatures', TEE.form, {}, { quoted: plusOne(632) }],
  ['another length of its certification', TEE.form, {}, { quoted: plusOne(766) }],
  ['another length of its chain', TEE.form, {}, { quoted: plusOne(770 + 384 + 64 + 34 + 2) }],
  [
    'something else than certificates',
    TEE.form,
    { pem: (text) => text.replace('BEGIN CERTIFICATE', 'BEGIN CERTIFICATF') },
  ],
  ['text before the certificates', TEE.form, { pem: (text) => `\n${text}` }],
  ['text after the certificates', TEE.form, { pem: (text) => `${text}\n` }],
  ['two NULs after the certificates', TEE.form, { pem: (text) => `${text}\0\0` }],
  ['carriage returns', TEE.form, { pem: (text) => text.replaceAll('\n', '\r\n') }],
  [
    'certificates in longer lines',
    TEE.form,
    { pem: (text) => text.replace(/([A-Za-z0-9+/]{64})\n/, '$1') },
  ],
  [
    'certificates in shorter lines',
    TEE.form,
    { pem: (text) => text.replace(/([A-Za-z0-9+/]{32})/, '$1\n') },
  ],
  [
    'certificates beside it',
    TEE.form,
    {},
    {
      quoted: (r) => {
        r.certificates = ['AAAA']
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
    { policy: { evidence: ['tpm', 'sev-snp'] } },
  ],
  [
    'another kind’s name',
    TEE.form,
    {},
    {
      quoted: (r) => {
        r.kind = 'sev-snp'
      },
    },
  ],
]

describe('a TDX quote', () => {
  it.each([
    [4, 2],
    [5, 2],
    [5, 3],
  ] as const)('of version %i and type %i verifies', async (version, type) => {
    const verdict = await scene.tdx({ version, type })
    expect(failures(verdict)).toEqual([])
    expect(verdict.outcome).toBe('verified')
  })

  it('is not judged by Intel’s collateral, and says so', async () => {
    const verdict = await scene.tdx()
    expect(entry(verdict, 'document.tee_tcb')).toMatchObject({ result: 'skip', required: false })
    expect(entry(verdict, 'document.tee_tcb').reason).toContain('collateral')
  })

  it('may end its certificates without a NUL', async () => {
    expect(failures(await scene.tdx({ pem: (text) => text }))).toEqual([])
  })

  it('has what booted compared where the policy names it', async () => {
    const rtmrs = [{ digests: ['02'.repeat(48)], index: 2 }]
    const verdict = await scene.tdx({}, { tdx: { mr_seam: ['5e'.repeat(48)], rtmrs } })
    expect(entry(verdict, 'document.tee_reference')).toMatchObject({
      result: 'pass',
      reason: 'MRTD, MRSEAM, RTMR2',
    })
  })

  it('is not compared at all where the policy names no MRTD, whatever else it names', async () => {
    const rtmrs = [{ digests: ['02'.repeat(48)], index: 2 }]
    for (const named of [{ rtmrs }, { mr_seam: ['5e'.repeat(48)] }]) {
      const verdict = await scene.tdx({}, { policy: { tee: { tdx: named } } })
      expect(entry(verdict, 'document.tee_reference')).toMatchObject({
        result: 'skip',
        required: true,
      })
    }
  })

  it.each(TDX)('with %s fails %s', async (_lie, fails, fields, told) => {
    const verdict = await scene.tdx(fields, told)
    expect(failures(verdict)).toEqual([fails])
    expect(verdict.outcome).toBe('failed')
  })

  it('signed by another key fails', async () => {
    const other = await pair('P-256')
    for (const fields of [{ quoteKey: other.privateKey }, { pckKey: other.privateKey }])
      expect(failures(await scene.tdx(fields))).toEqual([TEE.signature])
  })

  it('whose PCK is on another curve fails', async () => {
    const verdict = await scene.tdx({
      leaf: { publicKey: (await pair('P-384')).publicKey, extensions: [SGX_EXTENSION] },
    })
    expect(failures(verdict)).toEqual([TEE.signature])
    expect(entry(verdict, TEE.signature).reason).toContain('not on P-256')
  })

  it.each([
    [0, 0x01, 'the host may debug or profile this TD'],
    [0, 0x40, 'the host may debug or profile this TD'],
    [3, 0x30, 'the host may migrate this TD'],
    [4, 0x01, 'unknown TD attributes 100000000'],
  ])('says what is wrong with its attributes: byte %i, bits %i', async (byte, bits, reason) => {
    const verdict = await scene.tdx(body(attributes + byte, bits))
    expect(entry(verdict, TEE.guest).reason).toBe(reason)
  })

  it('with the chain of another machine fails', async () => {
    const other = await makeTdx(await scene.dataFor())
    const bytes = fromBase64url(other.record.report)
    const pem = new TextDecoder().decode(bytes.slice(-lengthOfPem(bytes)))
    const verdict = await scene.tdx({ pem: () => pem }, { tdx: { roots: [other.root] } })
    expect(failures(verdict)).toEqual([TEE.signature])
  })
})

const lengthOfPem = (bytes: Bytes) =>
  bytes.length - new TextDecoder('latin1').decode(bytes).indexOf('-----BEGIN')

describe('the buffer of a quote', () => {
  it.each([
    [4, 2],
    [5, 2],
    [5, 3],
  ] as const)('of version %i and type %i is cut to the quote', async (version, type) => {
    const { record } = await makeTdx(new Uint8Array(64), { version, type })
    const quote = fromBase64url(record.report)
    expect(unpaddedTdxQuote(quote)).toEqual(quote)
    expect(unpaddedTdxQuote(Uint8Array.of(...quote, ...new Uint8Array(999)))).toEqual(quote)
    for (const other of [quote.slice(0, -1), quote.slice(0, 40), Uint8Array.of(...quote, 0, 1)])
      expect(() => unpaddedTdxQuote(other)).toThrow(
        expect.objectContaining({ code: 'evidence.invalid' }),
      )
  })
})
