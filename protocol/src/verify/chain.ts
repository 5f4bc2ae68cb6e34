// A certificate chain of hardware that vouches for itself: leaf to root, each signed by the next, the root pinned by
// its SHA-256. X.509 itself is @peculiar/x509's; what is decided here is what a chain must look like.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
} from '@peculiar/x509'
import { type Bytes, sha256Hex } from '../bytes.ts'
import { isWholeCertificate } from './certificate-form.ts'
import { ensure } from './checks.ts'
import { GCE_INSTANCE_OID } from './gce-instance.ts'

/** The library would verify SHA-1 too, under which a second certificate can be made for one signature. */
const HASHES = new Map([
  ['SHA-256', 256],
  ['SHA-384', 384],
  ['SHA-512', 512],
])

const OID = { keyUsage: '2.5.29.15', basicConstraints: '2.5.29.19', subjectAltName: '2.5.29.17' }
/** What this verifier understands, and therefore lets stand as critical. */
const UNDERSTOOD: string[] = [OID.keyUsage, OID.basicConstraints, GCE_INSTANCE_OID]
/** Google's older hierarchy names the TPM in a critical subjectAltName of the leaf; nothing is taken from it. */
const IGNORED_IN_LEAF: string[] = [OID.subjectAltName]

/** The certificates, leaf first. Throws `Refusal` unless they lead to one of the roots and are valid at `atMs`. */
export async function checkChain(
  chain: readonly Bytes[],
  roots: readonly string[],
  atMs: number,
): Promise<X509Certificate[]> {
  ensure(chain.length >= 2, 'the chain needs a leaf and a root at least')
  const rootDigest = await sha256Hex(chain.at(-1)!)
  ensure(
    roots.includes(rootDigest),
    `root certificate ${rootDigest} is not one that the policy trusts`,
  )
  const certificates = openCertificates(chain)
  for (const [i, certificate] of certificates.entries()) {
    const issuer = certificates[i + 1] ?? certificate
    ensure(certificate.issuer === issuer.subject, `certificate ${i} does not name its issuer`)
    checkAlgorithm(certificate, i)
    const signed = await certificate.verify({
      publicKey: issuer.publicKey,
      date: new Date(atMs),
      signatureOnly: false,
    })
    ensure(
      signed,
      `certificate ${i} is not signed by the next one or not valid at ${new Date(atMs).toISOString()}`,
    )
    checkRole(certificate, i)
    checkExtensions(certificate, i)
  }
  return certificates
}

/** The certificates of a chain that is judged elsewhere; each is whole, and nothing else. */
export function openCertificates(chain: readonly Bytes[]): X509Certificate[] {
  for (const [i, der] of chain.entries())
    ensure(isWholeCertificate(der), `certificate ${i} is not whole, or not in its one spelling`)
  return chain.map((der) => new X509Certificate(der))
}

/** The leaf's key, which must be on this curve. */
export async function ecdsaKey(
  leaf: X509Certificate,
  curve: 'P-256' | 'P-384',
): Promise<CryptoKey> {
  const { name, namedCurve } = leaf.publicKey.algorithm as { name: string; namedCurve?: string }
  ensure(name === 'ECDSA' && namedCurve === curve, `the leaf’s key is not on ${curve}`)
  return leaf.publicKey.export({ name, namedCurve }, ['verify'])
}

/** RSASSA-PSS states its salt's length, which the library takes as it comes: here it is the hash's, as AMD has it. */
function checkAlgorithm({ signatureAlgorithm }: X509Certificate, i: number): void {
  const { hash, saltLength } = signatureAlgorithm as {
    hash?: { name: string }
    saltLength?: number
  }
  const bits = HASHES.get(hash?.name ?? '')
  ensure(bits !== undefined, `certificate ${i} is signed over a hash that is no longer trusted`)
  ensure(
    saltLength === undefined || saltLength * 8 === bits,
    `certificate ${i} is signed with a salt of another length than its hash`,
  )
}

/** The leaf is no CA; what stands above it is one, may sign certificates, and allows as many CAs below as there are. */
function checkRole(certificate: X509Certificate, i: number): void {
  const constraints = certificate.getExtension(BasicConstraintsExtension)
  const isCa = constraints?.ca === true
  ensure(isCa === i > 0, i > 0 ? `certificate ${i} is no CA` : 'the leaf is a CA')
  if (i === 0) return
  const usage = certificate.getExtension(KeyUsagesExtension)?.usages ?? KeyUsageFlags.keyCertSign
  ensure((usage & KeyUsageFlags.keyCertSign) !== 0, `certificate ${i} may not sign certificates`)
  ensure((constraints?.pathLength ?? i) >= i - 1, `the chain below certificate ${i} is too long`)
}

/** No extension stands twice, and none is critical that would go unread here. */
function checkExtensions(certificate: X509Certificate, i: number): void {
  const types = certificate.extensions.map(({ type }) => type)
  ensure(new Set(types).size === types.length, `certificate ${i} has an extension twice`)
  for (const { critical, type } of certificate.extensions) {
    const understood = UNDERSTOOD.includes(type) || (i === 0 && IGNORED_IN_LEAF.includes(type))
    ensure(!critical || understood, `certificate ${i} has an unknown critical extension (${type})`)
  }
}
