// The attestation key that the cloud provisioned: template and certificate lie in NV, the key is remade at each boot.
// A key whose public half is not the certificate's, or that may sign anything but TPM structures, is never used.
import { createHash, X509Certificate } from 'node:crypto'
import { concat, equal, SealedError } from '@sealed/protocol'
import { createPrimary } from './commands.ts'
import type { Execute } from './link.ts'
import { Reader } from './marshal.ts'
import { findIndex, readIndex } from './nv.ts'

export interface AttestationKey {
  readonly algorithm: 'ecdsa-p256' | 'rsassa-2048'
  /** TPMT_PUBLIC. */
  readonly public: Uint8Array
  /** 000b ‖ SHA-256(TPMT_PUBLIC). */
  readonly name: Uint8Array
  /** X.509 in DER, from NV. */
  readonly certificate: Uint8Array
}

/** What NV holds of a key before it is made. */
export interface Provision {
  readonly algorithm: AttestationKey['algorithm']
  readonly template: Uint8Array
  readonly certificate: Uint8Array
}

/** Where GCE keeps them, in order of preference: an ECC quote costs a fifth of an RSA one. */
const LAYOUTS = [
  { algorithm: 'ecdsa-p256', template: 0x01c10003, certificate: 0x01c10002 },
  { algorithm: 'rsassa-2048', template: 0x01c10001, certificate: 0x01c10000 },
] as const

// fixedTPM | fixedParent | sensitiveDataOrigin | restricted | sign
const REQUIRED = 0x00050032
const DECRYPT = 0x00020000

/** Reads the first key kind that has both its template and its certificate. */
export async function readProvision(execute: Execute): Promise<Provision> {
  for (const { algorithm, ...at } of LAYOUTS) {
    if (!(await findIndex(execute, at.template))) continue
    if (!(await findIndex(execute, at.certificate))) continue
    const template = await readIndex(execute, at.template)
    const certificate = trimDer(await readIndex(execute, at.certificate))
    return { algorithm, template, certificate }
  }
  throw new SealedError(
    'tpm.failed',
    'this TPM holds no attestation key template and certificate (NV 0x01c10003 and 0x01c10002, or ' +
      '0x01c10001 and 0x01c10000): use a confidential VM of GCE, or the software TPM of scripts/world',
  )
}

/** Makes the key and checks it; gives its transient handle, which lives as long as the connection. */
export async function createAttestationKey(execute: Execute, provision: Provision) {
  const made = await execute(createPrimary(provision.template))
  const name = concat(
    new Uint8Array([0, 0x0b]),
    new Uint8Array(createHash('sha256').update(made.public).digest()),
  )
  if (!equal(name, made.name))
    throw new SealedError('tpm.failed', 'the TPM gave a key name that is not the digest of its key')
  const { algorithm, certificate } = provision
  if (!isCertified(made.public, algorithm, certificate))
    throw new SealedError(
      'tpm.failed',
      `the ${algorithm} attestation key is not the one in its certificate: ` +
        'the TPM was cleared or holds the certificate of another',
    )
  const key: AttestationKey = { algorithm, public: made.public, name, certificate }
  return { handle: made.handle, key }
}

function isCertified(
  area: Uint8Array,
  algorithm: AttestationKey['algorithm'],
  certificate: Uint8Array,
): boolean {
  let certified: JsonWebKey
  try {
    certified = new X509Certificate(certificate).publicKey.export({ format: 'jwk' })
  } catch (cause) {
    throw new SealedError('tpm.failed', 'the attestation key certificate in NV is not X.509', {
      cause,
    })
  }
  const own = publicKey(area, algorithm)
  return (['kty', 'crv', 'x', 'y', 'n', 'e'] as const).every(
    (part) => own[part] === certified[part],
  )
}

/** TPMT_PUBLIC of a restricted signing key as a JWK; `tpm.failed` for any other kind of key. */
export function publicKey(area: Uint8Array, algorithm: AttestationKey['algorithm']): JsonWebKey {
  const r = new Reader(area, 'attestation key')
  const type = r.u16()
  const nameAlgorithm = r.u16()
  const attributes = r.u32()
  r.sized() // authPolicy
  const symmetric = r.u16()
  const scheme = [r.u16(), r.u16()]
  const isEcc = algorithm === 'ecdsa-p256'
  const expected = isEcc ? [0x0023, 0x0018] : [0x0001, 0x0014]
  if (
    type !== expected[0] ||
    nameAlgorithm !== 0x000b ||
    (attributes & REQUIRED) !== REQUIRED ||
    (attributes & DECRYPT) !== 0 ||
    symmetric !== 0x0010 ||
    scheme[0] !== expected[1] ||
    scheme[1] !== 0x000b
  )
    throw new SealedError('tpm.failed', `the template makes no restricted ${algorithm} signing key`)
  const key = isEcc ? readPoint(r) : readModulus(r)
  r.end()
  return key
}

function readPoint(r: Reader): JsonWebKey {
  const curve = r.u16()
  const kdf = r.u16()
  if (curve !== 0x0003 || kdf !== 0x0010)
    throw new SealedError('tpm.failed', 'the attestation key is not on P-256')
  // A TPM may drop leading zeros; a JWK never does.
  return { kty: 'EC', crv: 'P-256', x: base64url(pad(r.sized())), y: base64url(pad(r.sized())) }
}

function readModulus(r: Reader): JsonWebKey {
  const bits = r.u16()
  const exponent = r.u32()
  if (bits !== 2048 || exponent !== 0)
    throw new SealedError('tpm.failed', 'the attestation key is not RSA-2048 with exponent 65537')
  return { kty: 'RSA', n: base64url(r.sized()), e: 'AQAB' }
}

function pad(coordinate: Uint8Array): Uint8Array {
  if (coordinate.length > 32)
    throw new SealedError('tpm.failed', 'a P-256 coordinate has more than 32 bytes')
  return concat(new Uint8Array(32 - coordinate.length), coordinate)
}

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')

/** An NV index may be larger than the certificate in it: keeps the outer SEQUENCE only. */
function trimDer(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0x30 || bytes[1] !== 0x82) return bytes
  return bytes.subarray(0, 4 + ((bytes[2] ?? 0) << 8) + (bytes[3] ?? 0))
}
