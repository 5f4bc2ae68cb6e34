// The Ed25519 key of one boot that signs checkpoints and transport keys. Its private half stays in root-only tmpfs.
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { type Bytes, fromBase64url } from '@sealed/protocol'

export interface LedgerKey {
  /** Raw public key, 32 bytes. */
  publicKey: Bytes
  sign(bytes: Uint8Array): Uint8Array
}

export const generateLedgerKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey

export function ledgerKey(privateKey: KeyObject): LedgerKey {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  return {
    publicKey: fromBase64url(x!),
    sign: (bytes) => sign(null, bytes, privateKey),
  }
}
