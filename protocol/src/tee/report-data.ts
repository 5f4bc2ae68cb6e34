// What a TEE report says of the keys that run inside: the attestation key that signs quotes, and the key set.
import { type Bytes, concat, sha256, utf8 } from '../bytes.ts'

/** REPORT_DATA = SHA-512(`sealed/report/v1\0` ‖ SHA-256(TPMT_PUBLIC of the attestation key) ‖ K). No caller chooses it. */
export async function reportData(akPublic: Uint8Array, k: Uint8Array): Promise<Bytes> {
  const data = concat(utf8('sealed/report/v1\0'), await sha256(akPublic), k)
  return new Uint8Array(await crypto.subtle.digest('SHA-512', data))
}
