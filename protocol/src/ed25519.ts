// Ed25519 (RFC 8032) under a public key of 32 bytes, as every format here has it.
import type { Bytes } from './bytes.ts'
import { verify } from './public-keys.ts'

/** Whether the signature over `message` holds; one of another length never does. */
export async function ed25519Holds(
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  if (signature.length !== 64) return false
  const key = await crypto.subtle.importKey('raw', publicKey as Bytes, 'Ed25519', true, ['verify'])
  return verify(key, signature, message)
}
