// An AMD processor for the tests of this room: reports in AMD's layout, signed by a VCEK whose chain ends in a root that
// nobody trusts. It tells the truth unless a test changes bytes before it signs, or hands it other certificates.
import 'reflect-metadata'
import { Extension } from '@peculiar/x509'
import type { TeeReport } from '../attestation.ts'
import { type Bytes, concat, randomBytes, sha256Hex, toBase64url, utf8 } from '../bytes.ts'
import { type CertificateFields, caExtensions, issueChain } from './test-tpm.ts'

const PSS = { name: 'RSA-PSS', hash: 'SHA-384', saltLength: 48 }
const PSS_KEY = { ...PSS, modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }
const P384 = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }
const AMD = '1.3.6.1.4.1.3704.1'

export type Processor = 'milan' | 'turin'
/** Patch levels as a TCB version of each kind of processor has them. */
export const TCB: Record<Processor, readonly number[]> = {
  milan: [4, 1, 0, 0, 0, 0, 22, 211],
  turin: [1, 4, 1, 3, 0, 0, 0, 66],
}
const LEVELS: Record<Processor, Record<string, number>> = {
  milan: { '3.1': 4, '3.2': 1, '3.3': 22, '3.4': 0, '3.5': 0, '3.6': 0, '3.7': 0, '3.8': 211 },
  turin: { '3.1': 4, '3.2': 1, '3.3': 3, '3.8': 66, '3.9': 1 },
}

export interface SnpFields {
  processor?: Processor
  version?: number
  /** What stands in the report, changed before it is signed. */
  report?: (bytes: Bytes) => void
  /** Extensions of the VCEK by what follows AMD's arc; undefined leaves one out. */
  extensions?: Record<string, Bytes | undefined>
  /** Further extensions of the VCEK. */
  more?: readonly Extension[]
  leaf?: CertificateFields
  middle?: CertificateFields
  root?: CertificateFields
  /** Who signs the report, where it is not the key in the VCEK. */
  signingKey?: CryptoKey
}

export interface TestSnp {
  record: TeeReport
  /** SHA-256 of the root. */
  root: string
}

const pair = async (algorithm: typeof PSS_KEY | typeof P384) =>
  (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
/** One AMD for a test file: RSA keys are slow to make. */
let amd: Promise<[CryptoKeyPair, CryptoKeyPair]> | undefined

export const amdExtension = (oid: string, value: Bytes): Extension =>
  new Extension(`${AMD}.${oid}`, false, value)
export const derInteger = (value: number): Bytes =>
  value < 128 ? Uint8Array.of(2, 1, value) : Uint8Array.of(2, 2, 0, value)

export async function makeSnp(reportData: Uint8Array, fields: SnpFields = {}): Promise<TestSnp> {
  amd ??= Promise.all([pair(PSS_KEY), pair(PSS_KEY)])
  const [ask, ark] = await amd
  const { privateKey, publicKey } = await pair(P384)
  const processor = fields.processor ?? 'milan'
  const chip = randomBytes(processor === 'milan' ? 64 : 8)
  const stated: Record<string, Bytes | undefined> = {
    1: derInteger(0),
    2: concat(Uint8Array.of(0x16, 4), utf8('Test')),
    ...Object.fromEntries(
      Object.entries(LEVELS[processor]).map(([oid, level]) => [oid, derInteger(level)]),
    ),
    4: chip,
    ...fields.extensions,
  }
  const extensions = Object.entries(stated).flatMap(([oid, value]) =>
    value ? [amdExtension(oid, value)] : [],
  )
  const signedBy = (signingKey: CryptoKey) => ({ signingKey, signingAlgorithm: PSS })
  const chain = await issueChain(publicKey, Date.UTC(2026, 9, 1, 12), {
    leaf: {
      ...signedBy(ask.privateKey),
      extensions: [...extensions, ...(fields.more ?? [])],
      ...fields.leaf,
    },
    middle: {
      ...signedBy(ark.privateKey),
      publicKey: ask.publicKey,
      extensions: caExtensions(0),
      ...fields.middle,
    },
    root: { ...signedBy(ark.privateKey), publicKey: ark.publicKey, ...fields.root },
  })
  const report = honestReport(processor, fields.version ?? 3, reportData, chip)
  fields.report?.(report)
  const signed = report.subarray(0, 0x2a0)
  const raw = await crypto.subtle.sign(P384, fields.signingKey ?? privateKey, signed)
  const signature = new Uint8Array(raw)
  report.set(signature.slice(0, 48).reverse(), 0x2a0)
  report.set(signature.slice(48).reverse(), 0x2e8)
  return {
    record: {
      certificates: chain.map(toBase64url),
      kind: 'sev-snp',
      report: toBase64url(report),
    },
    root: await sha256Hex(chain[2]!),
  }
}

function honestReport(
  processor: Processor,
  version: number,
  reportData: Uint8Array,
  chip: Uint8Array,
): Bytes {
  const report = new Uint8Array(1184)
  report[0] = version
  report.set([0x1f, 0, 0x02], 0x08) // ABI version and guest policy: bit 17 alone
  report[0x34] = 1
  for (const at of [0x38, 0x180, 0x1e0, 0x1f0]) report.set(TCB[processor], at)
  report[0x40] = 0x25
  report.set(reportData, 0x50)
  report.fill(0x4d, 0x90, 0xc0)
  report.set(randomBytes(32), 0x140)
  report.fill(0xff, 0x160, 0x180)
  if (version >= 3) report.set([processor === 'milan' ? 0x19 : 0x1a, 1, 1], 0x188)
  report.set(chip, 0x1a0)
  for (const at of [0x1e8, 0x1ec]) report.set([21, 55, 1], at)
  if (version >= 5) report.fill(1, 0x1f8, 0x208)
  return report
}
