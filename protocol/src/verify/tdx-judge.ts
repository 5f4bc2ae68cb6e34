// Judges a TDX quote: signed by a key that Intel's own quoting enclave named, in a report that the PCK of the machine
// signed, under Intel's root, for a TD that nobody may debug or migrate. Intel's collateral (patch levels, revocation)
// is fetched from the network and not judged here.
import type { X509Certificate } from '@peculiar/x509'
import type { TeeReport } from '../attestation.ts'
import { equal, fromBase64url, fromHex, toHex } from '../bytes.ts'
import type { Policy } from '../policy.ts'
import { replayCcel } from '../tee/ccel.ts'
import { INTEL_SGX_ROOTS, type TeePolicy } from '../tee/policy.ts'
import {
  parseTdxQuote,
  type QuotingEnclave,
  qeNamesKey,
  qeReportIsBy,
  type TdxBody,
  type TdxQuote,
  tdxQuoteIsSigned,
} from '../tee/tdx-quote.ts'
import { checkChain, ecdsaKey, openCertificates } from './chain.ts'
import { ensure, Skip } from './checks.ts'
import type { TeeJudge } from './tee-judge.ts'

/** In every PCK certificate: Intel's statement of the platform. */
const SGX_EXTENSION = '1.2.840.113741.1.13.1'
/** Identity of the TD quoting enclave, as Intel publishes it (`/tdx/certification/v4/qe/identity`). */
const QE = {
  mrSigner: 'dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5',
  isvProdId: 2,
  flags: 0x11n,
  flagsMask: 0xfffffffffffffffbn,
}
/** TD attributes by bit: what watches or moves a TD, and what only changes its processor. Others are refused. */
const DEBUG = 0xffn
const MIGRATABLE = 1n << 29n
const HARMLESS = [16n, 27n, 28n, 30n, 31n, 63n].reduce((bits, bit) => bits | (1n << bit), 0n)

export function openTdx(record: TeeReport, policy: Policy, now: number): TeeJudge {
  const quote = parseTdxQuote(fromBase64url(record.report))
  ensure(record.certificates === undefined, 'a TDX quote carries its certificates itself')
  const accepted = policy.tee?.tdx ?? {}
  const pck = openCertificates(quote.chain)[0]!
  return {
    form: `TDX quote, version ${quote.version}`,
    reportData: quote.body.reportData,
    measurement: quote.body.mrTd,
    tcbIsJudged: false,
    hasReferences: (accepted.mrtd ?? accepted.mr_seam ?? accepted.rtmrs) !== undefined,
    async chain() {
      const certificates = await checkChain(quote.chain, accepted.roots ?? INTEL_SGX_ROOTS, now)
      ensure(pck.getExtensions(SGX_EXTENSION).length === 1, 'the leaf is no PCK certificate')
      return `chain of 3 to ${certificates[2]!.subject}; revocation is not looked for`
    },
    signature: () => checkSignatures(quote, pck),
    tcb() {
      throw new Skip('patch levels need Intel’s collateral, which this version does not judge')
    },
    guest: () => checkGuest(quote.body),
    reference: () => checkReferences(quote.body, accepted),
    async eventLog() {
      if (record.event_log === undefined) throw new Skip('no event log beside the quote')
      const { events, rtmrs } = await replayCcel(fromBase64url(record.event_log))
      for (const [i, rtmr] of rtmrs.entries())
        ensure(equal(rtmr, quote.body.rtmrs[i]!), `the event log does not lead to RTMR${i}`)
      return `${events} events lead to RTMR0 to 3`
    },
  }
}

async function checkSignatures(quote: TdxQuote, pck: X509Certificate): Promise<string> {
  ensure(await tdxQuoteIsSigned(quote), 'the attestation key did not sign this quote')
  ensure(await qeNamesKey(quote), 'the quoting enclave named another attestation key')
  checkQe(quote.qe)
  const key = await ecdsaKey(pck, 'P-256')
  ensure(await qeReportIsBy(key, quote), 'the PCK did not sign the quoting enclave’s report')
  return 'ECDSA P-256 by a key of Intel’s quoting enclave, which the PCK certified'
}

/** A platform certifies any enclave that its host gives leave to: only Intel's own names no key but its own. */
function checkQe({ flags, isvProdId, miscSelect, mrSigner }: QuotingEnclave): void {
  ensure(
    toHex(mrSigner) === QE.mrSigner && isvProdId === QE.isvProdId,
    'certified by an enclave that is not Intel’s TD quoting enclave',
  )
  const asPublished = (flags & QE.flagsMask) === QE.flags && miscSelect === 0
  ensure(asPublished, 'the quoting enclave runs with other attributes than Intel publishes')
}

function checkGuest(body: TdxBody): string {
  const zero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)
  const { tdAttributes } = body
  ensure((tdAttributes & DEBUG) === 0n, 'the host may debug or profile this TD')
  ensure((tdAttributes & MIGRATABLE) === 0n, 'the host may migrate this TD')
  const unknown = tdAttributes & ~HARMLESS
  ensure(unknown === 0n, `unknown TD attributes ${unknown.toString(16)}`)
  ensure(zero(body.mrServiceTd), 'a service TD is bound to this one')
  ensure(zero(body.mrSignerSeam), 'the TDX module is not signed by Intel')
  ensure(body.seamAttributes === 0n, 'the TDX module may be debugged')
  return `no debugging, no migration, attributes ${tdAttributes.toString(16)}`
}

type Accepted = NonNullable<TeePolicy['tdx']>

function checkReferences(body: TdxBody, { mrtd, mr_seam, rtmrs }: Accepted): string {
  if (!mrtd && !mr_seam && !rtmrs) throw new Skip('the policy names no TDX measurements')
  const known = (what: string, value: Uint8Array, digests: readonly string[]) => {
    const found = digests.some((digest) => equal(value, fromHex(digest)))
    ensure(found, `${what} ${toHex(value)} is not in the policy`)
    return what
  }
  const found = [
    ...(mrtd ? [known('MRTD', body.mrTd, mrtd)] : []),
    ...(mr_seam ? [known('MRSEAM', body.mrSeam, mr_seam)] : []),
    ...(rtmrs ?? []).map(({ digests, index }) =>
      known(`RTMR${index}`, body.rtmrs[index]!, digests),
    ),
  ]
  // What MRTD measures is what extends the RTMRs; without it they say what they like.
  if (!mrtd) throw new Skip(`the policy names no MRTD, only ${found.join(', ')}`)
  return found.join(', ')
}
