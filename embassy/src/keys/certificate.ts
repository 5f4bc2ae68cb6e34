// Issues the gateway's TLS certificate from its request, with an issuer key that is used once and dropped: what clients
// trust is the SPKI in the attested key set, never this issuer.
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { SealedError } from '@sealed/protocol'
import forge from 'node-forge'

const DAYS = 90

export interface IssuedCertificate {
  /** PEM: the gateway's certificate, then its issuer's. */
  chain: string
  /** SHA-256 of the certified SubjectPublicKeyInfo, hex. */
  spkiDigest: string
}

/** Reads a PKCS #10 request (RSA), checks that its maker holds the key, and certifies it for `names`. */
export function issueCertificate(
  request: string,
  names: readonly string[],
  now = new Date(),
): IssuedCertificate {
  let csr: forge.pki.CertificateSigningRequest
  try {
    csr = forge.pki.certificationRequestFromPem(request)
    if (!csr.verify()) throw new Error('signature')
  } catch (cause) {
    throw new SealedError(
      'config.invalid',
      'the gateway’s certificate request is malformed or not signed by its key',
      { cause },
    )
  }
  const issuer = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const issuerKey = forge.pki.privateKeyFromPem(
    issuer.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string,
  )
  const issuerPublic = forge.pki.publicKeyFromPem(
    issuer.publicKey.export({ type: 'spki', format: 'pem' }) as string,
  )
  const subject = [{ name: 'commonName', value: 'sealed embassy, one-use issuer' }]
  const certify = (
    key: forge.pki.PublicKey,
    name: forge.pki.CertificateField[],
    extensions: object[],
  ) => {
    const certificate = forge.pki.createCertificate()
    certificate.publicKey = key
    // Never a zero in front: forge leaves two of them as they are, and no TLS library reads such a number.
    certificate.serialNumber = `01${randomBytes(15).toString('hex')}`
    certificate.validity.notBefore = new Date(now.getTime() - 60_000)
    certificate.validity.notAfter = new Date(now.getTime() + DAYS * 86_400_000)
    certificate.setSubject(name)
    certificate.setIssuer(subject)
    certificate.setExtensions(extensions)
    certificate.sign(issuerKey, forge.md.sha256.create())
    return forge.pki.certificateToPem(certificate)
  }
  const root = certify(issuerPublic, subject, [
    { name: 'basicConstraints', cA: true, critical: true, pathLenConstraint: 0 },
    { name: 'keyUsage', keyCertSign: true, critical: true },
  ])
  const altNames = names.map((name) =>
    /^[0-9.]+$|:/.test(name) ? { type: 7, ip: name } : { type: 2, value: name },
  )
  const leaf = certify(
    csr.publicKey!,
    [{ name: 'commonName', value: names[0]! }],
    [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames },
    ],
  )
  return { chain: leaf + root, spkiDigest: spkiDigest(forge.pki.publicKeyToPem(csr.publicKey!)) }
}

/** SHA-256 of the SubjectPublicKeyInfo of a PEM key or certificate. */
export function spkiDigest(pem: string): string {
  return createHash('sha256')
    .update(createPublicKey(pem).export({ type: 'spki', format: 'der' }))
    .digest('hex')
}
