// TPM 2.0 quotes: TPMS_ATTEST, TPMT_SIGNATURE and TPMT_PUBLIC, parsed to the last byte and verified in the order of
// SPEC.md, "Quote". The PCR selection is read, never assumed.
import { type Bytes, concat, equal, sha256, toBase64url } from './bytes.ts'
import { SealedError } from './errors.ts'
import { verify } from './public-keys.ts'
import { TpmReader } from './tpm-reader.ts'

const MAGIC = 0xff544347
const ST_ATTEST_QUOTE = 0x8018
const ALG = {
  rsa: 0x0001,
  sha256: 0x000b,
  null: 0x0010,
  rsassa: 0x0014,
  ecdsa: 0x0018,
  ecc: 0x0023,
}
const P256 = 0x0003
/** fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign: a key that signs only what the TPM made. */
const AK_ATTRIBUTES = 0x00050032
const DECRYPT = 0x00020000

const bad = (message: string) => new SealedError('evidence.invalid', message)

export interface Attest {
  extraData: Bytes
  clockMs: bigint
  resetCount: number
  restartCount: number
  safe: boolean
  firmwareVersion: bigint
  /** PCR indices of the one SHA-256 selection, ascending. */
  pcrs: number[]
  pcrDigest: Bytes
  qualifiedSigner: Bytes
}

/** Parses a TPMS_ATTEST of type quote. Throws `evidence.invalid`. */
export function parseAttest(bytes: Uint8Array): Attest {
  const r = new TpmReader(bytes)
  if (r.u32() !== MAGIC) throw bad('not made by a TPM (magic)')
  if (r.u16() !== ST_ATTEST_QUOTE) throw bad('not a quote (type)')
  const qualifiedSigner = r.sized(66)
  const extraData = r.sized(64)
  const clockMs = r.u64()
  const resetCount = r.u32()
  const restartCount = r.u32()
  const safe = r.u8()
  if (safe > 1) throw bad('clock flag is neither 0 nor 1')
  const firmwareVersion = r.u64()
  if (r.u32() !== 1) throw bad('a quote selects exactly one PCR bank here')
  if (r.u16() !== ALG.sha256) throw bad('the quoted bank is not SHA-256')
  const bitmap = r.take(r.u8())
  if (bitmap.length !== 3) throw bad('PCR selection is not three bytes')
  const pcrDigest = r.sized(32)
  r.end()
  const pcrs = Array.from({ length: 24 }, (_, i) => i).filter(
    (i) => bitmap[i >> 3]! & (1 << (i & 7)),
  )
  return {
    qualifiedSigner,
    extraData,
    clockMs,
    resetCount,
    restartCount,
    safe: safe === 1,
    firmwareVersion,
    pcrs,
    pcrDigest,
  }
}

export interface AttestationPublicKey {
  algorithm: 'ecdsa-p256' | 'rsassa-2048'
  key: CryptoKey
  /** TPM name: 000b ‖ SHA-256(TPMT_PUBLIC). */
  name: Bytes
  /** The key as JWK members, to compare with a certificate's. */
  jwk: Record<string, string>
}

/** Parses a TPMT_PUBLIC that must be a restricted signing key, RSASSA-SHA256-2048 or ECDSA-SHA256-P256. */
export async function importAttestationKey(tpmtPublic: Uint8Array): Promise<AttestationPublicKey> {
  const r = new TpmReader(tpmtPublic)
  const type = r.u16()
  if (r.u16() !== ALG.sha256) throw bad('attestation key: name algorithm is not SHA-256')
  const attributes = r.u32()
  if ((attributes & AK_ATTRIBUTES) !== AK_ATTRIBUTES || attributes & DECRYPT)
    throw bad('attestation key: not a restricted signing key of this TPM')
  r.sized(64)
  if (r.u16() !== ALG.null) throw bad('attestation key: carries a symmetric algorithm')
  const scheme = r.u16()
  if (r.u16() !== ALG.sha256) throw bad('attestation key: scheme hash is not SHA-256')
  const name = concat(Uint8Array.of(0, ALG.sha256), await sha256(tpmtPublic))
  if (type === ALG.rsa && scheme === ALG.rsassa) {
    if (r.u16() !== 2048) throw bad('attestation key: RSA size is not 2048')
    const exponent = r.u32()
    const modulus = r.sized(256)
    r.end()
    if ((exponent !== 0 && exponent !== 65537) || modulus.length !== 256)
      throw bad('attestation key: odd RSA key')
    const jwk = { kty: 'RSA', n: toBase64url(modulus), e: 'AQAB' }
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    return { algorithm: 'rsassa-2048', key: await importJwk(jwk, algorithm), name, jwk }
  }
  if (type === ALG.ecc && scheme === ALG.ecdsa) {
    if (r.u16() !== P256 || r.u16() !== ALG.null) throw bad('attestation key: curve is not P-256')
    const x = leftPad(r.sized(32))
    const y = leftPad(r.sized(32))
    r.end()
    const jwk = { kty: 'EC', crv: 'P-256', x: toBase64url(x), y: toBase64url(y) }
    const key = await importJwk(jwk, { name: 'ECDSA', namedCurve: 'P-256' })
    return { algorithm: 'ecdsa-p256', key, name, jwk }
  }
  throw bad('attestation key: neither RSASSA nor ECDSA')
}

/** Web Crypto alone knows whether a point lies on its curve. */
async function importJwk(
  jwk: JsonWebKey,
  algorithm: EcKeyImportParams | RsaHashedImportParams,
): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey('jwk', jwk, algorithm, true, ['verify'])
  } catch (cause) {
    throw new SealedError('evidence.invalid', 'attestation key: the numbers are no key', { cause })
  }
}

/** Verifies a TPMT_SIGNATURE over an attest. Throws `evidence.invalid` when it is malformed. */
export async function verifyAttestSignature(
  ak: AttestationPublicKey,
  attest: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const r = new TpmReader(signature)
  const scheme = r.u16()
  if (r.u16() !== ALG.sha256) throw bad('quote signature: hash is not SHA-256')
  if (ak.algorithm === 'rsassa-2048') {
    if (scheme !== ALG.rsassa) throw bad('quote signature: scheme does not fit the key')
    const value = r.sized(256)
    r.end()
    return verify(ak.key, value, attest)
  }
  if (scheme !== ALG.ecdsa) throw bad('quote signature: scheme does not fit the key')
  const value = concat(leftPad(r.sized(32)), leftPad(r.sized(32)))
  r.end()
  return verify(ak.key, value, attest)
}

/** Integers in TPM signatures and points may come short of leading zeros. */
function leftPad(value: Bytes): Bytes {
  return value.length === 32 ? value : concat(new Uint8Array(32 - value.length), value)
}

/** SHA-256 over the given PCR values in ascending order of index. */
export async function pcrDigest(values: ReadonlyMap<number, Uint8Array>): Promise<Bytes> {
  const ascending = [...values.entries()].sort(([a], [b]) => a - b)
  return sha256(...ascending.map(([, value]) => value), new Uint8Array(0))
}

/** Value of a PCR that started at zero and was extended once with `digest`. */
export const extendedOnce = (digest: Uint8Array): Promise<Bytes> =>
  sha256(new Uint8Array(32), digest)

/** True when the values given are exactly the quoted selection and hash to the quoted digest. */
export async function quoteCovers(
  attest: Attest,
  values: ReadonlyMap<number, Uint8Array>,
): Promise<boolean> {
  const given = [...values.keys()].sort((a, b) => a - b)
  const same =
    given.length === attest.pcrs.length && given.every((index, i) => index === attest.pcrs[i])
  return same && equal(await pcrDigest(values), attest.pcrDigest)
}
