// What a public key is used for here. As with the primitives, Web Crypto hands it to another thread, which costs half as
// much as the work again; Node does it at once.
import type { Bytes } from './bytes.ts'
import { AT_ONCE_BYTES } from './primitives.ts'
import { nodeModule } from './runtime.ts'

export interface PublicKeys {
  /** Ed25519; ECDSA over P-256 (r ‖ s) or RSASSA-PKCS1-v1_5, both with SHA-256: as the key says, which is extractable. */
  verify(key: CryptoKey, signature: Uint8Array, data: Uint8Array): Promise<boolean>
  /** RSAES-OAEP with SHA-256 and an empty label, to a key that is extractable. */
  oaepEncrypt(key: CryptoKey, plaintext: Uint8Array): Promise<Bytes>
}

export const web: PublicKeys = {
  verify: (key, signature, data) => {
    const how = { name: key.algorithm.name, hash: 'SHA-256' }
    return crypto.subtle.verify(how, key, signature as Bytes, data as Bytes)
  },
  oaepEncrypt: async (key, plaintext) =>
    new Uint8Array(await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, key, plaintext as Bytes)),
}

/** Of Node's crypto module, what is used here. */
export interface NodePublicKeys {
  KeyObject: { from(key: CryptoKey): object }
  verify(algorithm: 'sha256' | null, data: Uint8Array, key: object, signature: Uint8Array): boolean
  publicEncrypt(key: { key: object; oaepHash: 'sha256' }, plaintext: Uint8Array): Uint8Array
}

export const atOnce = (node: NodePublicKeys): PublicKeys => ({
  verify: async (key, signature, data) => {
    if (data.length > AT_ONCE_BYTES) return web.verify(key, signature, data)
    const { name } = key.algorithm
    const subject = node.KeyObject.from(key)
    const how = name === 'ECDSA' ? { key: subject, dsaEncoding: 'ieee-p1363' } : subject
    return node.verify(name === 'Ed25519' ? null : 'sha256', data, how, signature)
  },
  oaepEncrypt: async (key, plaintext) =>
    Uint8Array.from(
      node.publicEncrypt({ key: node.KeyObject.from(key), oaepHash: 'sha256' }, plaintext),
    ),
})

export const node = nodeModule<NodePublicKeys>('node:crypto')

export const { verify, oaepEncrypt }: PublicKeys = node ? atOnce(node) : web
