// Reports by processors, as a hostile host may hand them over: reports, quotes, their certificates and logs.
import { concat, fromBase64url, utf8 } from '../bytes.ts'
import { replayCcel, unpaddedCcel } from '../tee/ccel.ts'
import { parsePckPem } from '../tee/pck-pem.ts'
import { parseSnpReport } from '../tee/snp-report.ts'
import { parseTdxQuote, tdxQuoteIsSigned, unpaddedTdxQuote } from '../tee/tdx-quote.ts'
import { isWholeCertificate } from '../verify/certificate-form.ts'
import { bootEvents, logBytes } from '../verify/test-log.ts'
import { makeSnp } from '../verify/test-snp.ts'
import { makeTdx, pemOf } from '../verify/test-tdx.ts'
import type { Target } from './run.ts'
import { document, fixed } from './samples.ts'

const bytes = { shape: 'bytes' as const }

export async function teeTargets(): Promise<Target[]> {
  const snp = fromBase64url((await makeSnp(fixed(1, 64))).record.report)
  const tdx = fromBase64url((await makeTdx(fixed(1, 64))).record.report)
  const chain = document.ak.chain.map(fromBase64url)
  const pem = utf8(chain.map(pemOf).join(''))
  // As a TD logs it: its own first register, SHA-384.
  const ccel = await logBytes(
    bootEvents().map((event) => ({ ...event, pcr: 1 + (event.pcr % 4) })),
    { pcr: 1 },
  )
  return [
    {
      name: 'SEV-SNP report',
      samples: [snp],
      ...bytes,
      accepts: (input) => parseSnpReport(input).measurement.length === 48,
    },
    {
      name: 'TDX quote',
      samples: [tdx],
      ...bytes,
      accepts: (input) => parseTdxQuote(input).body.mrTd.length === 48,
    },
    {
      name: 'TDX quote under its signature',
      samples: [tdx],
      ...bytes,
      accepts: (input) => tdxQuoteIsSigned(parseTdxQuote(input)),
    },
    {
      name: 'TDX quote in its buffer',
      samples: [concat(tdx, new Uint8Array(64))],
      ...bytes,
      accepts: (input) => unpaddedTdxQuote(input).length <= input.length,
    },
    {
      name: 'PCK chain',
      samples: [pem],
      ...bytes,
      accepts: (input) => parsePckPem(input).length > 0,
    },
    {
      name: 'TD event log',
      samples: [ccel],
      ...bytes,
      accepts: async (input) => (await replayCcel(input)).rtmrs.length === 4,
      percent: 20,
    },
    {
      name: 'TD event log in its table',
      samples: [concat(ccel, new Uint8Array(64).fill(0xff))],
      ...bytes,
      accepts: (input) => unpaddedCcel(input).length <= input.length,
    },
    {
      name: 'certificate',
      samples: chain,
      ...bytes,
      accepts: (input) => isWholeCertificate(input),
    },
  ]
}
