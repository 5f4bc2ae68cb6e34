// API keys: random text shown once, known to a deployment by digest only.
import { type ApiKeyEntry, randomBytes, sha256Hex, toBase64url, utf8 } from '@sealed/protocol'

/** Makes `sk-sealed-<32 random bytes in base64url>` and its entry for `keys.json`. */
export async function createApiKey(
  name: string,
  nowMs = Date.now(),
): Promise<{ apiKey: string; entry: ApiKeyEntry }> {
  const apiKey = `sk-sealed-${toBase64url(randomBytes(32))}`
  return { apiKey, entry: { created_ms: nowMs, digest: await sha256Hex(utf8(apiKey)), name } }
}
