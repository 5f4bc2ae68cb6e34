// The certificates above the attestation key's, as each names where its issuer's lies (RFC 5280, 4.2.2.1). They have to
// travel with the evidence, since a browser cannot fetch them. Nobody here trusts them: verifiers know the root.
import { X509Certificate } from 'node:crypto'
import { SealedError } from '@sealed/protocol'

/** GCE has an intermediate and a root. */
const MOST = 4

/** Fetches one certificate, in DER. */
export type FetchCertificate = (url: string) => Promise<Uint8Array>

/**
 * Issuer first, root last.
 * @throws SealedError `launch.unavailable` where one cannot be had, `evidence.invalid` where it is not the issuer's
 */
export async function issuersOf(leaf: Uint8Array, fetch: FetchCertificate): Promise<string> {
  const chain: string[] = []
  let certificate = parse(leaf)
  while (!certificate.checkIssued(certificate)) {
    const url = addressOf(certificate)
    if (chain.length === MOST) throw wrong(`more than ${MOST} certificates, and no root`)
    const issuer = parse(await fetch(url))
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey))
      throw wrong(`what lies at ${url} did not issue ${certificate.subject}`)
    chain.push(issuer.toString())
    certificate = issuer
  }
  return chain.join('')
}

/** By plain HTTP, as the certificates themselves say: what comes is held against a signature. */
function addressOf({ infoAccess, subject }: X509Certificate): string {
  const url = /^CA Issuers - URI:(http:\/\/\S+)$/m.exec(infoAccess ?? '')?.[1]
  if (url === undefined) throw wrong(`${subject} does not say where its issuer's certificate lies`)
  return url
}

function parse(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new SealedError('evidence.invalid', 'attestation key: not a certificate in DER', {
      cause,
    })
  }
}

const wrong = (message: string) =>
  new SealedError('evidence.invalid', `certificates of the attestation key: ${message}`)
