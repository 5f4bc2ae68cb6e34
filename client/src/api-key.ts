// API keys: random text shown once, known to a deployment by digest only.
import { randomBytes, sha256Hex, toBase64url, utf8 } from '@sealed/protocol'

export interface ApiKeyEntry {
  /** SHA-256 of the whole key's text. */
  digest: string
  name: string
}

/** Makes `sk-sealed-<32 random bytes in base64url>` and the entry for `api_keys` of sealed.json. */
export async function createApiKey(name: string): Promise<{ apiKey: string; entry: ApiKeyEntry }> {
  const apiKey = `sk-sealed-${toBase64url(randomBytes(32))}`
  return { apiKey, entry: { digest: await sha256Hex(utf8(apiKey)), name } }
}
