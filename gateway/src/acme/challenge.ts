// The certificate that proves a name by tls-alpn-01 (RFC 8737): signed by itself, with the digest of the key
// authorization in it, and a key of its own for this one proof.
import { type Authorization, crypto } from 'acme-client'

/** PEM, for `Challenges.open`. */
export async function proofOf(
  authorization: Authorization,
  keyAuthorization: string,
): Promise<{ key: string; cert: string }> {
  // RSA as the gateway's: under TLS 1.2 the cipher is chosen for that one before ALPN is looked at.
  const own = await crypto.createPrivateRsaKey(2048)
  const [key, cert] = await crypto.createAlpnCertificate(authorization, keyAuthorization, own)
  return { key: key.toString(), cert: cert.toString() }
}
