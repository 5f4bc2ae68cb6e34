// An Intel processor for the tests of this room: quotes in Intel's layout, signed by a key that a quoting enclave named,
// whose report a PCK signed, whose chain ends in a root that nobody trusts. Each part can be made to lie before it signs.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
} from '@peculiar/x509'
import type { TeeReport } from '../attestation.ts'
import {
  type Bytes,
  concat,
  fromHex,
  randomBytes,
  sha256,
  sha256Hex,
  toBase64,
  toBase64url,
  utf8,
} from '../bytes.ts'
import { type ChainFields, issueChain, P256 } from './test-tpm.ts'

const INTEL = fromHex('939a7233f79c4ca9940a0db3957f0607')
const INTEL_SIGNER = fromHex('dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5')
export const SGX_EXTENSION = new Extension(
  '1.2.840.113741.1.13.1',
  false,
  Uint8Array.of(0x30, 2, 5, 0),
)

export interface TdxFields extends ChainFields {
  version?: 4 | 5
  /** Of version 5: 2 for TDX 1.0, 3 for 1.5. */
  type?: 2 | 3
  /** Header and body (for version 5 with type and length between), changed before they are signed. */
  quote?: (bytes: Bytes) => void
  /** The quoting enclave's report, changed before the PCK signs it. */
  qe?: (report: Bytes) => void
  /** What the quoting enclave hashes, where it is not the key that signs the quote. */
  namedKey?: Bytes
  /** Who signs quote and enclave's report, where it is not who should. */
  quoteKey?: CryptoKey
  pckKey?: CryptoKey
  /** The PEM chain, changed. */
  pem?: (text: string) => string
  /** What stands behind the chain, within the lengths that hold it. */
  rest?: Bytes
  certificates?: (chain: Bytes[]) => Bytes[]
  rtmrs?: readonly Bytes[]
  eventLog?: Bytes
}

export interface TestTdx {
  record: TeeReport
  root: string
}

const le = (value: number, length: 2 | 4): Bytes =>
  Uint8Array.from({ length }, (_, i) => (value >> (8 * i)) & 255)
const pair = async () =>
  (await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as CryptoKeyPair
const sign = async (key: CryptoKey, bytes: Bytes) =>
  new Uint8Array(await crypto.subtle.sign(P256, key, bytes))

export async function makeTdx(reportData: Uint8Array, fields: TdxFields = {}): Promise<TestTdx> {
  const [attestation, pck] = [await pair(), await pair()]
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', attestation.publicKey)).slice(1)
  const quote = honestQuote(reportData, fields)
  fields.quote?.(quote)
  const authData = randomBytes(32)
  const qe = honestQe(await sha256(fields.namedKey ?? raw, authData))
  fields.qe?.(qe)
  const issued = await issueChain(pck.publicKey, Date.UTC(2026, 9, 1, 12), {
    ...fields,
    leaf: { extensions: pckExtensions(), ...fields.leaf },
  })
  const chain = fields.certificates?.(issued) ?? issued
  const pem = chain.map(pemOf).join('')
  const pemBytes = utf8(fields.pem?.(pem) ?? `${pem}\0`)
  const certified = concat(
    ...[qe, await sign(fields.pckKey ?? pck.privateKey, qe)],
    ...[le(authData.length, 2), authData],
    ...[le(5, 2), le(pemBytes.length, 4), pemBytes, fields.rest ?? new Uint8Array(0)],
  )
  const signatures = concat(
    ...[await sign(fields.quoteKey ?? attestation.privateKey, quote), raw],
    ...[le(6, 2), le(certified.length, 4), certified],
  )
  const report = concat(quote, le(signatures.length, 4), signatures)
  return {
    record: {
      ...(fields.eventLog && { event_log: toBase64url(fields.eventLog) }),
      kind: 'tdx',
      report: toBase64url(report),
    },
    root: await sha256Hex(issued[2]!),
  }
}

/** Where the body begins, and fields from there. */
export const bodyAt = (version: 4 | 5 = 4): number => (version === 5 ? 54 : 48)
export const BODY = {
  mrSeam: 16,
  mrSignerSeam: 64,
  seamAttributes: 112,
  tdAttributes: 120,
  mrTd: 136,
}

function honestQuote(reportData: Uint8Array, { version = 4, type = 2, rtmrs }: TdxFields): Bytes {
  const body = new Uint8Array(type === 3 ? 648 : 584)
  body.fill(0x5e, BODY.mrSeam, BODY.mrSeam + 48)
  body[BODY.tdAttributes + 3] = 0x10 // SEPT_VE_DISABLE
  body.fill(0x7d, BODY.mrTd, BODY.mrTd + 48)
  for (let i = 0; i < 4; i++) body.set(rtmrs?.[i] ?? new Uint8Array(48).fill(i), 328 + 48 * i)
  body.set(reportData, 520)
  const start = concat(le(version, 2), le(2, 2), le(0x81, 4), le(0, 4), INTEL, randomBytes(20))
  return version === 5 ? concat(start, le(type, 2), le(body.length, 4), body) : concat(start, body)
}

function honestQe(named: Bytes): Bytes {
  const report = new Uint8Array(384)
  report.set(randomBytes(16), 0)
  report[48] = 0x15 // INIT, 64 bit, provisioning key
  report[56] = 7
  report.set(randomBytes(32), 64)
  report.set(INTEL_SIGNER, 128)
  report[256] = 2
  report[258] = 4
  report.set(named, 320)
  return report
}

const pckExtensions = (): Extension[] => [
  new BasicConstraintsExtension(false, undefined, true),
  new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
  SGX_EXTENSION,
]

export const pemOf = (der: Uint8Array): string => {
  const lines = toBase64(der)
    .match(/.{1,64}/g)!
    .join('\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}
