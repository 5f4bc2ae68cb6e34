// The form of a DER certificate around what its issuer signed: one spelling only, so that no byte can be changed that the
// signature does not cover. What stands inside is read by @peculiar/x509.

interface Tlv {
  tag: number
  /** Of the content. */
  from: number
  to: number
}

const SEQUENCE = 0x30
const INTEGER = 0x02
const BIT_STRING = 0x03
const VERSION = 0xa0
/** OID 1.2.840.10045.4.3, arc of ECDSA with SHA-2, inside its algorithm identifier. */
const ECDSA = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03]

/** True when these bytes are `SEQUENCE { tbs, algorithm, BIT STRING }` to the last, the algorithm that of `tbs`. */
export function isWholeCertificate(der: Uint8Array): boolean {
  const whole = tlv(der, 0, der.length)
  if (whole?.tag !== SEQUENCE || whole.to !== der.length) return false
  const [tbs, algorithm, signature, ...more] = children(der, whole) ?? []
  if (tbs?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE || more.length > 0) return false
  if (signature?.tag !== BIT_STRING || der[signature.from] !== 0) return false
  const inner = (children(der, tbs) ?? []).filter(({ tag }) => tag !== VERSION)
  if (inner[0]?.tag !== INTEGER || inner[1]?.tag !== SEQUENCE) return false
  if (!sameContent(der, algorithm, inner[1])) return false
  const isEcdsa = ECDSA.every((byte, i) => der[algorithm.from + i] === byte)
  return !isEcdsa || isEcdsaSignature(der, signature.from + 1, signature.to)
}

/** SEQUENCE of two positive INTEGERs without needless zeros. */
function isEcdsaSignature(der: Uint8Array, from: number, to: number): boolean {
  const whole = tlv(der, from, to)
  if (whole?.tag !== SEQUENCE || whole.to !== to) return false
  const numbers = children(der, whole)
  return numbers?.length === 2 && numbers.every((number) => isPositive(der, number))
}

function isPositive(der: Uint8Array, { tag, from, to }: Tlv): boolean {
  const [first = 0x80, second = 0x80] = der.subarray(from, to)
  return tag === INTEGER && first < 0x80 && (first > 0 || second >= 0x80)
}

function sameContent(der: Uint8Array, a: Tlv, b: Tlv): boolean {
  const [one, other] = [der.subarray(a.from, a.to), der.subarray(b.from, b.to)]
  return one.length === other.length && one.every((byte, i) => byte === other[i])
}

/** All elements inside another, to its last byte. */
function children(der: Uint8Array, parent: Tlv): Tlv[] | undefined {
  const found: Tlv[] = []
  for (let at = parent.from; at < parent.to; ) {
    const next = tlv(der, at, parent.to)
    if (!next) return undefined
    found.push(next)
    at = next.to
  }
  return found
}

/** The element at `at`, with a length in its shortest form that stays within `end`. */
function tlv(der: Uint8Array, at: number, end: number): Tlv | undefined {
  const [tag, size, high = 0, low = 0] = der.subarray(at, end)
  if (tag === undefined || size === undefined) return undefined
  const forms: Record<number, [header: number, length: number, least: number]> = {
    129: [3, high, 0x80],
    130: [4, high * 256 + low, 0x100],
  }
  const [header, length, least] = size < 0x80 ? [2, size, 0] : (forms[size] ?? [0, 0, 1])
  const from = at + header
  return length >= least && from + length <= end ? { tag, from, to: from + length } : undefined
}
