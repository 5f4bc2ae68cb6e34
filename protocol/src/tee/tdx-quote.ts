// Intel TDX quotes, versions 4 and 5 (Intel TDX DCAP quoting library, "TD quote format"): parsed to the last byte, and
// the three signatures inside. What the values must be is decided elsewhere.
import { type Bytes, concat, equal, sha256, toHex } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import { parsePckPem } from './pck-pem.ts'
import { TeeReader } from './reader.ts'

const ECDSA_P256 = 2
const TEE_TDX = 0x81
const INTEL = '939a7233f79c4ca9940a0db3957f0607'
const HEADER_BYTES = 48
/** Body of TDX 1.0, alone in version 4; version 5 names the type, and 3 is TDX 1.5. */
const BODY_BYTES: Record<number, number> = { 2: 584, 3: 648 }
const CERTIFICATION_QE_REPORT = 6
const CERTIFICATION_PCK_CHAIN = 5
const QE_REPORT_BYTES = 384
const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const SHA256 = { name: 'ECDSA', hash: 'SHA-256' }

export interface TdxQuote {
  version: number
  body: TdxBody
  /** What the attestation key signed: header and body. */
  signed: Bytes
  signature: Bytes
  /** x ‖ y on P-256. */
  attestationKey: Bytes
  qe: QuotingEnclave
  /** DER certificates: PCK, its CA, root. */
  chain: Bytes[]
}

export interface TdxBody {
  mrSeam: Bytes
  /** Zero for a module that Intel signed. */
  mrSignerSeam: Bytes
  seamAttributes: bigint
  tdAttributes: bigint
  mrTd: Bytes
  rtmrs: Bytes[]
  reportData: Bytes
  /** Digest of the service TDs bound to this one; zero where there are none, or before TDX 1.5. */
  mrServiceTd: Bytes
}

/** The enclave that certified the attestation key, by a report that the PCK signed. */
export interface QuotingEnclave {
  report: Bytes
  signature: Bytes
  authData: Bytes
  miscSelect: number
  flags: bigint
  mrSigner: Bytes
  isvProdId: number
  reportData: Bytes
}

/** What of a quote's buffer is written: hosts hand it out with zeros behind. Throws `evidence.invalid`. */
export function unpaddedTdxQuote(buffer: Uint8Array): Bytes {
  const r = new TeeReader(buffer, 'TDX quote')
  const version = r.u16()
  r.take(HEADER_BYTES - 2)
  const body = version === 5 ? [r.u16(), r.u32()][1]! : BODY_BYTES[2]!
  r.take(body)
  const end = HEADER_BYTES + (version === 5 ? 6 : 0) + body + 4 + r.u32()
  if (end > buffer.length) throw r.bad('cut short')
  if (buffer.subarray(end).some((byte) => byte !== 0)) throw r.bad('bytes left over')
  return buffer.slice(0, end) as Bytes
}

/** Parses a quote. Throws `evidence.invalid`. */
export function parseTdxQuote(bytes: Uint8Array): TdxQuote {
  const r = new TeeReader(bytes, 'TDX quote')
  const version = r.u16()
  if (version !== 4 && version !== 5) throw r.bad(`version ${version} is not known`)
  if (r.u16() !== ECDSA_P256) throw r.bad('not signed with ECDSA P-256')
  if (r.u32() !== TEE_TDX) throw r.bad('not of a TD')
  r.zeros(4)
  if (toHex(r.take(16)) !== INTEL) throw r.bad('not by a quoting enclave of Intel’s')
  r.take(20) // user data: the quoting enclave's
  const type = version === 5 ? r.u16() : 2
  const length = BODY_BYTES[type]
  if (length === undefined) throw r.bad(`body type ${type} is not known`)
  if (version === 5 && r.u32() !== length) throw r.bad('body of another length than its type has')
  const body = parseBody(r, type)
  const signedBytes = HEADER_BYTES + (version === 5 ? 6 : 0) + length
  if (r.u32() !== bytes.length - signedBytes - 4) throw r.bad('signature data of another length')
  const signature = r.take(64)
  const attestationKey = r.take(64)
  if (r.u16() !== CERTIFICATION_QE_REPORT) throw r.bad('not certified by a quoting enclave')
  const left = bytes.length - signedBytes - 4 - 64 - 64 - 6
  if (r.u32() !== left) throw r.bad('certification data of another length')
  const qe = parseQe(r)
  if (r.u16() !== CERTIFICATION_PCK_CHAIN) throw r.bad('carries no PCK chain')
  const chain = parsePckPem(r.take(r.u32()))
  r.end()
  if (chain.length !== 3) throw r.bad('PCK chain is not three certificates')
  const signed = bytes.slice(0, signedBytes) as Bytes
  return { version, body, signed, signature, attestationKey, qe, chain }
}

function parseBody(r: TeeReader, type: number): TdxBody {
  r.take(16) // TEE_TCB_SVN: judged with Intel's collateral only
  const [mrSeam, mrSignerSeam] = [r.take(48), r.take(48)]
  const [seamAttributes, tdAttributes] = [r.u64(), r.u64()]
  r.take(8) // XFAM
  const mrTd = r.take(48)
  r.take(3 * 48) // config id, owner, owner's config: chosen by who launched the TD
  const rtmrs = [r.take(48), r.take(48), r.take(48), r.take(48)]
  const reportData = r.take(64)
  if (type === 3) r.take(16) // TEE_TCB_SVN2
  const mrServiceTd = type === 3 ? r.take(48) : new Uint8Array(48)
  return {
    mrSeam,
    mrSignerSeam,
    seamAttributes,
    tdAttributes,
    mrTd,
    rtmrs,
    reportData,
    mrServiceTd,
  }
}

function parseQe(r: TeeReader): QuotingEnclave {
  const report = r.take(QE_REPORT_BYTES)
  const signature = r.take(64)
  const authData = r.take(r.u16())
  const q = new TeeReader(report, 'report of the quoting enclave')
  q.take(16) // CPUSVN
  const miscSelect = q.u32()
  q.zeros(28)
  const flags = q.u64()
  q.take(8) // XFRM
  q.take(32) // MRENCLAVE
  q.zeros(32)
  const mrSigner = q.take(32)
  q.zeros(96)
  const isvProdId = q.u16()
  q.take(2) // ISVSVN: judged with Intel's collateral only
  q.zeros(60)
  const reportData = q.take(64)
  return { report, signature, authData, miscSelect, flags, mrSigner, isvProdId, reportData }
}

/** True when the attestation key signed header and body. Throws `evidence.invalid` when it is no point of its curve. */
export async function tdxQuoteIsSigned({ attestationKey, signature, signed }: TdxQuote) {
  const point = concat(Uint8Array.of(4), attestationKey)
  let key: CryptoKey
  try {
    key = await crypto.subtle.importKey('raw', point, P256, false, ['verify'])
  } catch (cause) {
    throw new SealedError('evidence.invalid', 'TDX quote: no point of its curve', { cause })
  }
  return crypto.subtle.verify(SHA256, key, signature, signed)
}

/** True when the quoting enclave's report names this attestation key. */
export async function qeNamesKey({ attestationKey, qe }: TdxQuote): Promise<boolean> {
  const named = await sha256(attestationKey, qe.authData)
  return equal(qe.reportData, concat(named, new Uint8Array(32)))
}

/** True when this P-256 key, the PCK, signed the quoting enclave's report. */
export const qeReportIsBy = (pck: CryptoKey, { qe }: TdxQuote): Promise<boolean> =>
  crypto.subtle.verify(SHA256, pck, qe.signature, qe.report)
