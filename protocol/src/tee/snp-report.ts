// AMD SEV-SNP attestation reports, versions 2 to 5 (AMD publication 56860, table ATTESTATION_REPORT), 1,184 bytes: parsed
// to the last, reserved bytes zero, and the signature over the rest. What the values must be is decided elsewhere.
import { type Bytes, concat } from '../bytes.ts'
import { TeeReader } from './reader.ts'
import { parseTcb, type Tcb, type TcbLayout } from './tcb.ts'

const SIGNED_BYTES = 0x2a0
const ECDSA_P384_SHA384 = 1
/** Guest policy: bit 17 is always one, bits 26 and above are reserved. */
const POLICY_ONE = 1n << 17n
const POLICY_BITS = 26n
/** PLATFORM_INFO: SMT, TSME, ECC, RAPL off, ciphertext hiding, alias check, TIO. */
const PLATFORM_INFO = 0xbfn
const FAMILY_ZEN3_ZEN4 = 0x19
const FAMILY_ZEN5 = 0x1a

export interface FirmwareVersion {
  build: number
  minor: number
  major: number
}

export interface SnpReport {
  version: number
  policy: { smt: boolean; migrationAgent: boolean; debug: boolean }
  vmpl: number
  /** Which key signed: 0 VCEK, 1 VLEK, 7 none. */
  signingKey: number
  /** The host hides CHIP_ID. */
  chipIdMasked: boolean
  /** 64 bytes. */
  reportData: Bytes
  /** 48 bytes: what the guest was launched with. */
  measurement: Bytes
  /** 64 bytes; Turin fills the first 8. */
  chipId: Bytes
  layout: TcbLayout
  current: Tcb
  reported: Tcb
  committed: Tcb
  launch: Tcb
  currentFirmware: FirmwareVersion
  committedFirmware: FirmwareVersion
  /** What the signature covers. */
  signed: Bytes
  /** r ‖ s, 48 bytes each, big-endian. */
  signature: Bytes
}

/** Parses a report. Throws `evidence.invalid`. */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  const r = new TeeReader(bytes, 'SNP report')
  const version = r.u32()
  if (version < 2 || version > 5) throw r.bad(`version ${version} is not known`)
  r.u32() // guest SVN
  const policy = r.u64()
  if ((policy & POLICY_ONE) === 0n || policy >> POLICY_BITS !== 0n)
    throw r.bad('reserved bits of the guest policy are wrong')
  r.take(32) // family and image id: the guest owner's
  const vmpl = r.u32()
  if (r.u32() !== ECDSA_P384_SHA384) throw r.bad('not signed with ECDSA P-384 and SHA-384')
  const current = r.take(8)
  if ((r.u64() & ~PLATFORM_INFO) !== 0n) throw r.bad('unknown bits in PLATFORM_INFO')
  const flags = r.u32()
  if (flags >> 5 !== 0) throw r.bad('unknown bits beside the signing key')
  r.zeros(4)
  const reportData = r.take(64)
  const measurement = r.take(48)
  r.take(32 + 48 + 48 + 32 + 32) // host data, digests of id and author keys, report ids
  const reported = r.take(8)
  const layout = version >= 3 ? layoutOfFamily(r) : 'milan'
  r.zeros(version >= 3 ? 21 : 24)
  const chipId = r.take(64)
  const committed = r.take(8)
  const currentFirmware = firmwareVersion(r)
  const committedFirmware = firmwareVersion(r)
  const launch = r.take(8)
  if (version >= 5) r.take(16) // mitigation vectors
  r.zeros(version >= 5 ? 152 : 168)
  const signature = concat(coordinate(r), coordinate(r))
  r.zeros(368)
  r.end()
  return {
    version,
    policy: {
      smt: (policy & (1n << 16n)) !== 0n,
      migrationAgent: (policy & (1n << 18n)) !== 0n,
      debug: (policy & (1n << 19n)) !== 0n,
    },
    vmpl,
    signingKey: (flags >> 2) & 7,
    chipIdMasked: (flags & 2) !== 0,
    reportData,
    measurement,
    chipId,
    layout,
    current: parseTcb(current, layout),
    reported: parseTcb(reported, layout),
    committed: parseTcb(committed, layout),
    launch: parseTcb(launch, layout),
    currentFirmware,
    committedFirmware,
    signed: bytes.slice(0, SIGNED_BYTES) as Bytes,
    signature,
  }
}

/** True when this P-384 key signed the report. */
export const snpSignatureIsBy = (key: CryptoKey, report: SnpReport): Promise<boolean> =>
  crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-384' }, key, report.signature, report.signed)

/** CPUID family, model and stepping, since version 3. */
function layoutOfFamily(r: TeeReader): TcbLayout {
  const family = r.u8()
  r.take(2)
  if (family === FAMILY_ZEN3_ZEN4) return 'milan'
  if (family === FAMILY_ZEN5) return 'turin'
  throw r.bad(`processor family ${family} is not known`)
}

function firmwareVersion(r: TeeReader): FirmwareVersion {
  const version = { build: r.u8(), minor: r.u8(), major: r.u8() }
  r.zeros(1)
  return version
}

/** 72 bytes little-endian, of which P-384 fills 48. */
function coordinate(r: TeeReader): Bytes {
  const value = r.take(48).reverse()
  r.zeros(24)
  return value
}
