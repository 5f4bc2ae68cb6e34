// A TPM's voice for tests: an attestation key, its certificate chain, and quotes in the TPM's own encoding. It runs
// through the verifier that real quotes go through; only its root is nobody's.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import {
  type Bytes,
  concat,
  fromBase64url,
  pcrDigest,
  type QuoteRecord,
  randomBytes,
  sha256,
  sha256Hex,
  toBase64url,
  toHex,
  u32be,
} from '@sealed/protocol'

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000

export interface TpmDouble {
  /** TPMT_PUBLIC. */
  public: Bytes
  /** TPM name, hex. */
  name: string
  chain: Bytes[]
  rootDigest: string
  quote: (extraData: Bytes, pcrs: ReadonlyMap<number, Bytes>) => Promise<QuoteRecord>
}

const u16 = (value: number) => Uint8Array.of(value >> 8, value & 255)
const sized = (bytes: Uint8Array) => concat(u16(bytes.length), bytes)
const u64 = (value: number) => concat(u32be(0), u32be(value))

export async function createTpm(now: number): Promise<TpmDouble> {
  const pair = (await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as CryptoKeyPair
  const { x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  const tpmtPublic = concat(
    ...[u16(0x0023), u16(0x000b), u32be(0x00050072), sized(new Uint8Array(0))],
    ...[u16(0x0010), u16(0x0018), u16(0x000b), u16(0x0003), u16(0x0010)],
    ...[sized(fromBase64url(x!)), sized(fromBase64url(y!))],
  )
  const chain = await certify(pair.publicKey, now)
  const name = concat(u16(0x000b), await sha256(tpmtPublic))
  return {
    public: tpmtPublic,
    name: toHex(name),
    chain,
    rootDigest: await sha256Hex(chain.at(-1)!),
    quote: async (extraData, pcrs) => {
      const attest = await attestBytes(extraData, pcrs)
      const raw = new Uint8Array(await crypto.subtle.sign(P256, pair.privateKey, attest))
      const parts = [u16(0x0018), u16(0x000b), sized(raw.slice(0, 32)), sized(raw.slice(32))]
      return { attest: toBase64url(attest), signature: toBase64url(concat(...parts)) }
    },
  }
}

export const RESET_COUNT = 7
export const RESTART_COUNT = 1

async function attestBytes(extraData: Bytes, pcrs: ReadonlyMap<number, Bytes>): Promise<Bytes> {
  const bitmap = new Uint8Array(3)
  for (const index of pcrs.keys()) bitmap[index >> 3]! |= 1 << (index & 7)
  return concat(
    ...[u32be(0xff544347), u16(0x8018), sized(randomBytes(34)), sized(extraData)],
    ...[u64(123_456), u32be(RESET_COUNT), u32be(RESTART_COUNT), Uint8Array.of(1), u64(1)],
    ...[u32be(1), u16(0x000b), Uint8Array.of(3), bitmap, sized(await pcrDigest(pcrs))],
  )
}

async function certify(publicKey: CryptoKey, now: number): Promise<Bytes[]> {
  const root = (await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as CryptoKeyPair
  const issuer = 'CN=Test root, O=Nobody'
  const common = {
    issuer,
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + 365 * DAY_MS),
    signingAlgorithm: P256,
    signingKey: root.privateKey,
  }
  const rootCertificate = await X509CertificateGenerator.create({
    ...common,
    serialNumber: '01',
    subject: issuer,
    publicKey: root.publicKey,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  })
  const leaf = await X509CertificateGenerator.create({
    ...common,
    serialNumber: '02',
    subject: 'CN=Test attestation key, O=Nobody',
    publicKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    ],
  })
  return [leaf, rootCertificate].map((certificate) => new Uint8Array(certificate.rawData))
}
