// Bits of TEE evidence flipped one at a time: none is accepted. The parsers meet bytes of every kind, and answer with
// an error of ours or not at all.
import 'reflect-metadata'
import { X509Certificate } from '@peculiar/x509'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { TeeReport } from '../attestation.ts'
import { fromBase64url, toBase64url } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { parsePckPem } from '../tee/pck-pem.ts'
import { parseSnpReport, snpSignatureIsBy } from '../tee/snp-report.ts'
import { parseTdxQuote, qeNamesKey, qeReportIsBy, tdxQuoteIsSigned } from '../tee/tdx-quote.ts'
import { ecdsaKey } from './chain.ts'
import { openSnp } from './snp-judge.ts'
import { openTdx } from './tdx-judge.ts'
import type { TeeJudge } from './tee-judge.ts'
import { flip } from './test-scene.ts'
import { makeSnp } from './test-snp.ts'
import { makeTdx } from './test-tdx.ts'
import { createWorld, NOW } from './test-world.ts'

const DATA = new Uint8Array(64).fill(0xda)
let base: Policy
beforeAll(async () => {
  base = (await createWorld()).policy
})

const snpJudge = (root: string) => (record: TeeReport) =>
  openSnp(record, { ...base, tee: { snp: { roots: [root] } } }, NOW)
const tdxJudge = (root: string) => (record: TeeReport) =>
  openTdx(record, { ...base, tee: { tdx: { roots: [root] } } }, NOW)

/** True when chain and signature pass, and the patch levels where they are judged. */
async function passes(open: () => TeeJudge): Promise<boolean> {
  try {
    const judge = open()
    if (judge.tcbIsJudged) judge.tcb()
    await judge.signature()
    await judge.chain()
    return true
  } catch {
    return false
  }
}
const orRefused = async (act: () => Promise<boolean>): Promise<boolean> => {
  try {
    return await act()
  } catch {
    return false
  }
}
/** Every `step`th bit from one byte to another. */
function* bits(from: number, to: number, step = 1): Generator<number> {
  for (let bit = from * 8; bit < to * 8; bit += step) yield bit
}

describe('a flipped bit', () => {
  it('anywhere in an SEV-SNP report is seen by parser or signature', async () => {
    const { record } = await makeSnp(DATA, { version: 5 })
    const report = fromBase64url(record.report)
    const vcek = new X509Certificate(fromBase64url(record.certificates![0]!))
    const key = await ecdsaKey(vcek, 'P-384')
    const isSigned = (bytes: Uint8Array) =>
      orRefused(() => snpSignatureIsBy(key, parseSnpReport(bytes)))
    expect(await isSigned(report)).toBe(true)
    for (const bit of bits(0, report.length))
      expect(await isSigned(flip(report, bit)), `bit ${bit}`).toBe(false)
  })

  it('anywhere in the certificates of an SEV-SNP report is seen', async () => {
    const { record, root } = await makeSnp(DATA)
    const open = snpJudge(root)
    expect(await passes(() => open(record))).toBe(true)
    for (const [i, certificate] of record.certificates!.entries()) {
      const der = fromBase64url(certificate)
      for (const bit of bits(0, der.length, 37)) {
        const certificates = record.certificates!.with(i, toBase64url(flip(der, bit)))
        const seen = await passes(() => open({ ...record, certificates }))
        expect(seen, `certificate ${i}, bit ${bit}`).toBe(false)
      }
    }
  })

  it('anywhere in a TDX quote is seen by parser, signatures or chain', async () => {
    const { record, root } = await makeTdx(DATA)
    const open = tdxJudge(root)
    const quote = fromBase64url(record.report)
    const { chain } = parseTdxQuote(quote)
    const pck = await ecdsaKey(new X509Certificate(chain[0]!), 'P-256')
    const isSigned = (bytes: Uint8Array) =>
      orRefused(async () => {
        const parsed = parseTdxQuote(bytes)
        return (
          (await tdxQuoteIsSigned(parsed)) &&
          (await qeNamesKey(parsed)) &&
          (await qeReportIsBy(pck, parsed))
        )
      })
    expect(await isSigned(quote)).toBe(true)
    expect(await passes(() => open(record))).toBe(true)
    const pem = new TextDecoder('latin1').decode(quote).indexOf('-----BEGIN')
    for (const bit of bits(0, pem))
      expect(await isSigned(flip(quote, bit)), `bit ${bit}`).toBe(false)
    for (const bit of bits(pem, quote.length, 37)) {
      const report = toBase64url(flip(quote, bit))
      expect(await passes(() => open({ ...record, report })), `bit ${bit}`).toBe(false)
    }
  })
})

describe('bytes of any kind', () => {
  const PARSERS = { parseSnpReport, parseTdxQuote, parsePckPem }

  /** Runs a parser; anything but a value or an error of ours is a fault. */
  function tries(parse: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
    try {
      parse(bytes)
      return true
    } catch (error) {
      if (error instanceof SealedError) return false
      throw error
    }
  }

  it.each(Object.entries(PARSERS))('end %s with an error of ours', (_name, parse) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => !tries(parse, bytes)),
      { numRuns: 300 },
    )
  })

  it('in the place of a part of true evidence do too', async () => {
    const snp = fromBase64url((await makeSnp(DATA)).record.report)
    const tdx = fromBase64url((await makeTdx(DATA)).record.report)
    const cases = [
      [parseSnpReport, snp],
      [parseTdxQuote, tdx],
    ] as const
    for (const [parse, honest] of cases) {
      const at = fc.nat({ max: honest.length - 1 })
      fc.assert(
        fc.property(at, fc.uint8Array({ minLength: 1, maxLength: 64 }), (from, part) => {
          const bytes = honest.slice()
          bytes.set(part.subarray(0, honest.length - from), from)
          tries(parse, bytes)
        }),
        { numRuns: 500 },
      )
      for (let length = 0; length < honest.length; length += 7)
        expect(tries(parse, honest.slice(0, length))).toBe(false)
    }
  })
})
