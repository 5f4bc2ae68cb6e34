// Digests of small contents on the request path, synchronous: Web Crypto would hop to a thread and back for each.
// The same values as protocol's functions of the same names.
import { createHmac, createSecretKey, hash } from 'node:crypto'

export const sha256 = (content: Uint8Array | string): Buffer => hash('sha256', content, 'buffer')
export const sha256Hex = (content: Uint8Array | string): string => hash('sha256', content)

/** HMAC-SHA256 under the session's salt of a content's SHA-256, hex. Given a key's bytes, Node takes four times as long. */
export const contentDigest = (salt: Uint8Array, contentSha256: Uint8Array): string =>
  createHmac('sha256', createSecretKey(salt)).update(contentSha256).digest('hex')

export const saltedDigest = (salt: Uint8Array, content: Uint8Array | string): string =>
  contentDigest(salt, sha256(content))
