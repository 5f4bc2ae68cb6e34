// A TPM's voice for the tests of this room: attestation keys, certificate chains and quotes in the TPM's own encoding.
// It speaks to the verifier that real quotes go through; only its roots are nobody's, and nothing ships that trusts them.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { QuoteRecord } from '../attestation.ts'
import {
  type Bytes,
  concat,
  fromBase64url,
  randomBytes,
  sha256,
  toBase64url,
  u32be,
  utf8,
} from '../bytes.ts'
import { pcrDigest } from '../quote.ts'

export const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: Uint8Array.of(1, 0, 1),
}
const DAY_MS = 86_400_000

export const u16 = (value: number): Bytes => Uint8Array.of(value >> 8, value & 255)
export const sized = (bytes: Uint8Array): Bytes => concat(u16(bytes.length), bytes)
export function u64(value: number): Bytes {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, BigInt(value))
  return out
}

/** Everything that stands in a quote; what is left out is what an honest TPM writes. */
export interface AttestFields {
  extraData: Uint8Array
  pcrs: ReadonlyMap<number, Uint8Array>
  magic?: number
  type?: number
  clockMs?: number
  resetCount?: number
  restartCount?: number
  safe?: number
  bank?: number
  selections?: number
  /** The selection as written, where it is not that of `pcrs`. */
  bitmap?: Uint8Array
  pcrDigest?: Uint8Array
}

export function selectionOf(indices: Iterable<number>): Bytes {
  const bitmap = new Uint8Array(3)
  for (const index of indices) bitmap[index >> 3]! |= 1 << (index & 7)
  return bitmap
}

/** A TPMS_ATTEST. */
export async function attestBytes(fields: AttestFields): Promise<Bytes> {
  const bitmap = fields.bitmap ?? selectionOf(fields.pcrs.keys())
  return concat(
    ...[u32be(fields.magic ?? 0xff544347), u16(fields.type ?? 0x8018)],
    ...[sized(randomBytes(34)), sized(fields.extraData)],
    ...[
      u64(fields.clockMs ?? 123_456),
      u32be(fields.resetCount ?? 7),
      u32be(fields.restartCount ?? 1),
    ],
    ...[Uint8Array.of(fields.safe ?? 1), u64(2 ** 40)],
    ...[u32be(fields.selections ?? 1), u16(fields.bank ?? 0x000b)],
    ...[Uint8Array.of(bitmap.length), bitmap],
    sized(fields.pcrDigest ?? (await pcrDigest(fields.pcrs))),
  )
}

export interface TestAk {
  /** TPMT_PUBLIC. */
  public: Bytes
  /** 000b ‖ SHA-256(TPMT_PUBLIC). */
  name: Bytes
  publicKey: CryptoKey
  /** A TPMT_SIGNATURE over the bytes given. */
  sign: (attest: Uint8Array) => Promise<Bytes>
}

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign. */
export const AK_ATTRIBUTES = 0x00050072

export async function createAk(kind: 'ecdsa' | 'rsassa' = 'ecdsa'): Promise<TestAk> {
  const algorithm = kind === 'ecdsa' ? P256 : RSA
  const pair = (await crypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const jwk = (await crypto.subtle.exportKey('jwk', pair.publicKey)) as unknown as Record<
    string,
    string
  >
  const tpmtPublic = tpmtOf(jwk)
  return {
    public: tpmtPublic,
    name: concat(u16(0x000b), await sha256(tpmtPublic)),
    publicKey: pair.publicKey,
    sign: async (attest) => {
      const raw = await crypto.subtle.sign(algorithm, pair.privateKey, attest as Bytes)
      const value = new Uint8Array(raw)
      return kind === 'ecdsa'
        ? concat(u16(0x0018), u16(0x000b), sized(value.slice(0, 32)), sized(value.slice(32)))
        : concat(u16(0x0014), u16(0x000b), sized(value))
    },
  }
}

/** A TPMT_PUBLIC for a JWK: name algorithm, attributes, no policy, no symmetric algorithm, scheme, key. */
export function tpmtOf(jwk: Record<string, string>, attributes = AK_ATTRIBUTES): Bytes {
  const start = [u16(0x000b), u32be(attributes), sized(new Uint8Array(0)), u16(0x0010)]
  if (jwk.kty === 'EC') {
    const point = [sized(fromBase64url(jwk.x!)), sized(fromBase64url(jwk.y!))]
    const curve = [u16(0x0018), u16(0x000b), u16(0x0003), u16(0x0010)]
    return concat(u16(0x0023), ...start, ...curve, ...point)
  }
  const scheme = [u16(0x0014), u16(0x000b), u16(2048), u32be(0)]
  return concat(u16(0x0001), ...start, ...scheme, sized(fromBase64url(jwk.n!)))
}

export async function quoteBy(ak: TestAk, fields: AttestFields): Promise<QuoteRecord> {
  const attest = await attestBytes(fields)
  return { attest: toBase64url(attest), signature: toBase64url(await ak.sign(attest)) }
}

/** What one certificate of a chain says; what is left out is what an honest CA writes. */
export interface CertificateFields {
  subject?: string
  issuer?: string
  notBefore?: Date
  notAfter?: Date
  extensions?: Extension[]
  publicKey?: CryptoKey
  signingKey?: CryptoKey
  /** ECDSA P-256 where it is left out. */
  signingAlgorithm?: { name: string; hash: string }
}

export const caExtensions = (pathLength?: number): Extension[] => [
  new BasicConstraintsExtension(true, pathLength, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
]

/** A leaf's extensions, with GCE's where the value is given. */
export const leafExtensions = (gceInstance = gceInstanceDer()): Extension[] => [
  new BasicConstraintsExtension(false, undefined, true),
  new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
  new Extension('1.3.6.1.4.1.11129.2.1.21', false, gceInstance),
]

/** One DER value of at most 255 bytes. */
export const der = (tag: number, ...content: Uint8Array[]): Bytes => {
  const value = concat(...content)
  const length = value.length < 128 ? [value.length] : [0x81, value.length]
  return concat(Uint8Array.of(tag, ...length), value)
}
export const derText = (text: string): Bytes => der(0x0c, utf8(text))
export const derFlag = (flag: boolean): Bytes => der(0x01, Uint8Array.of(flag ? 0xff : 0))

/** What Google's certificate says of a machine; `fields` replace the parts of the sequence, in order. */
export function gceInstanceDer(
  fields: { zone?: string; project?: string; production?: boolean; parts?: Bytes[] } = {},
): Bytes {
  const { zone = 'europe-west4-a', project = 'sealed-project', production = true } = fields
  const properties = [
    der(0xa0, der(0x02, Uint8Array.of(0))),
    der(0xa1, derFlag(production)),
    ...[0xa2, 0xa3, 0xa4, 0xa5].map((tag) => der(tag, derFlag(tag === 0xa2))),
  ]
  const parts = [
    derText(zone),
    der(0x02, Uint8Array.of(0x02, 0x8f, 0x5c, 0x28, 0xf6)),
    derText(project),
    der(0x02, Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0)),
    derText('sealed-1'),
    der(0xa0, der(0x30, ...properties)),
  ]
  return der(0x30, ...(fields.parts ?? parts))
}

export interface ChainFields {
  leaf?: CertificateFields
  middle?: CertificateFields
  root?: CertificateFields
}

/** A chain of leaf, one CA and root, DER, around `now`; `fields` change single certificates, in that order. */
export async function issueChain(
  leaf: CryptoKey,
  now: number,
  fields: ChainFields = {},
): Promise<Bytes[]> {
  const pair = async () =>
    (await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as CryptoKeyPair
  const [rootKeys, middleKeys] = [await pair(), await pair()]
  const names = { leaf: 'CN=Test attestation key', middle: 'CN=Test CA', root: 'CN=Test root' }
  const certificate = async (
    own: keyof typeof names,
    by: keyof typeof names,
    publicKey: CryptoKey,
    signingKey: CryptoKey,
  ) => {
    const made = await X509CertificateGenerator.create({
      serialNumber: '01',
      subject: names[own],
      issuer: fields[by]?.subject ?? names[by],
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + 365 * DAY_MS),
      signingAlgorithm: P256,
      publicKey,
      signingKey,
      extensions: own === 'leaf' ? leafExtensions() : caExtensions(),
      ...fields[own],
    })
    return new Uint8Array(made.rawData)
  }
  return [
    await certificate('leaf', 'middle', leaf, middleKeys.privateKey),
    await certificate('middle', 'root', middleKeys.publicKey, rootKeys.privateKey),
    await certificate('root', 'root', rootKeys.publicKey, rootKeys.privateKey),
  ]
}
