// The server's side of tls-alpn-01 (RFC 8737, section 3): a real handshake with whoever answers at the name.
import { createHash, type X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'

/** DER of id-pe-acmeIdentifier, critical, up to the digest: OID, TRUE, OCTET STRING in OCTET STRING of 32 bytes. */
const IDENTIFIER = '06082b0601050507011f0101ff042204' + '20'

export interface Handshake {
  /** Undefined where it was refused. */
  protocol: string | undefined
  certificate: X509Certificate | undefined
  /** Bytes that came after it. */
  received: string
}

/** Ends when the other side ends the connection. `say` is sent once it stands. */
export function shake(options: {
  port: number
  servername?: string
  protocols?: string[]
  version?: 'TLSv1.2' | 'TLSv1.3'
  say?: string
}): Promise<Handshake> {
  const { port, servername, protocols, version, say } = options
  return new Promise((resolve) => {
    const seen: Handshake = { protocol: undefined, certificate: undefined, received: '' }
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...(servername !== undefined && { servername }),
      ...(protocols && { ALPNProtocols: protocols }),
      ...(version && { minVersion: version, maxVersion: version }),
    })
    socket.on('secureConnect', () => {
      seen.protocol = socket.alpnProtocol || undefined
      seen.certificate = socket.getPeerX509Certificate()
      if (say !== undefined) socket.write(say)
    })
    socket.on('data', (data) => {
      seen.received += data
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(seen))
  })
}

/** What is wrong with the answer; undefined when it proves the name. */
export async function validate(
  port: number,
  name: string,
  keyAuthorization: string,
  version?: 'TLSv1.2' | 'TLSv1.3',
): Promise<string | undefined> {
  const { protocol, certificate } = await shake({
    port,
    servername: name,
    protocols: ['acme-tls/1'],
    ...(version && { version }),
  })
  if (protocol !== 'acme-tls/1' || !certificate) return 'no acme-tls/1 is spoken'
  if (certificate.subjectAltName !== `DNS:${name}`) return `it is for ${certificate.subjectAltName}`
  if (!certificate.verify(certificate.publicKey)) return 'it is not signed by itself'
  const expected = IDENTIFIER + createHash('sha256').update(keyAuthorization).digest('hex')
  return certificate.raw.toString('hex').includes(expected) ? undefined : 'wrong acmeIdentifier'
}
