// A certification authority for tests: a root, one below it that issues, and certificates for requests and for servers.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import forge from 'node-forge'

export interface Life {
  /** Milliseconds from now. */
  from: number
  to: number
}
export const A_DAY: Life = { from: -3_600_000, to: 86_400_000 }

interface Pair {
  publicKey: forge.pki.PublicKey
  privateKey: forge.pki.rsa.PrivateKey
}

function makePair(): Pair & { pem: string } {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  return {
    publicKey: forge.pki.publicKeyFromPem(pair.publicKey),
    privateKey: forge.pki.privateKeyFromPem(pair.privateKey),
    pem: pair.privateKey,
  }
}

const nameOf = (value: string) => [{ name: 'commonName', value }]

export class TestCa {
  /** PEM. */
  readonly root: string
  readonly #intermediate: string
  readonly #issuer: Pair

  constructor() {
    const root = makePair()
    this.#issuer = makePair()
    const authority = [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ]
    const life = { from: A_DAY.from, to: 30 * A_DAY.to }
    this.root = certify(root.publicKey, 'test root', 'test root', root, authority, life)
    this.#intermediate = certify(
      this.#issuer.publicKey,
      'test issuer',
      'test root',
      root,
      authority,
      life,
    )
  }

  /** PEM chain for any key. */
  issue(
    publicKey: forge.pki.PublicKey,
    names: readonly string[],
    life: Life = A_DAY,
    cA = false,
  ): string {
    const altNames = names.map((name) =>
      /^[0-9.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name },
    )
    const extensions = [
      { name: 'basicConstraints', cA, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames },
    ]
    return (
      certify(publicKey, names[0]!, 'test issuer', this.#issuer, extensions, life) +
      this.#intermediate
    )
  }

  /** For a server of the test's own. */
  server(...names: string[]): { key: string; cert: string } {
    const { publicKey, pem } = makePair()
    return { key: pem, cert: this.issue(publicKey, names) }
  }

  /** For a key that nobody here has. */
  strange(names: readonly string[], life?: Life): string {
    return this.issue(makePair().publicKey, names, life)
  }
}

function certify(
  publicKey: forge.pki.PublicKey,
  subject: string,
  issuer: string,
  by: Pair,
  extensions: object[],
  life: Life,
): string {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = publicKey
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`
  certificate.validity.notBefore = new Date(Date.now() + life.from)
  certificate.validity.notAfter = new Date(Date.now() + life.to)
  certificate.setSubject(nameOf(subject))
  certificate.setIssuer(nameOf(issuer))
  certificate.setExtensions(extensions)
  certificate.sign(by.privateKey, forge.md.sha256.create())
  return forge.pki.certificateToPem(certificate)
}
