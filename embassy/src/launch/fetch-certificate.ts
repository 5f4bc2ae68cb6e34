// Fetches an issuer's certificate: small, bounded, without a redirect, tried again while the network comes up.
import { setTimeout as delay } from 'node:timers/promises'
import { SealedError } from '@sealed/protocol'
import { request } from 'undici'
import type { FetchCertificate } from './ak-chain.ts'

const MAX_BYTES = 16_384
const ATTEMPT_MS = 10_000
const ATTEMPTS = 12
const PAUSE_MS = 2_000

/** Throws `launch.unavailable` where it cannot be had. */
export const fetchCertificate: FetchCertificate = async (url) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(url)
    } catch (cause) {
      if (attempt === ATTEMPTS)
        throw new SealedError(
          'launch.unavailable',
          `no certificate at ${url} (${(cause as Error).message}): let this machine reach it, as evidence has to carry it`,
          { cause },
        )
      await delay(PAUSE_MS)
    }
  }
}

async function once(url: string): Promise<Uint8Array> {
  const { body, statusCode } = await request(url, { signal: AbortSignal.timeout(ATTEMPT_MS) })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error(`longer than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  if (statusCode !== 200) throw new Error(`status ${statusCode}`)
  return Buffer.concat(chunks)
}
