// GET /v1/attestation[?nonce=] and /v1/attestation/{digest}: the embassy's evidence, byte for byte as it gave it.
import { fromBase64url, SealedError } from '@sealed/protocol'
import { Hono } from 'hono'
import type { AppEnv, EmbassyClient } from '../deps.ts'
import { notAllowed } from './not-allowed.ts'

const FOREVER = 'public, max-age=31536000, immutable'

export const attestation = (embassy: EmbassyClient) =>
  new Hono<AppEnv>()
    .get('/', async (c) => {
      const nonce = oneNonce(c.req.queries('nonce') ?? [])
      const body = await embassy.attestation(nonce, c.req.raw.signal)
      c.header('cache-control', 'no-store')
      return c.body(body as Uint8Array<ArrayBuffer>, 200, { 'content-type': 'application/json' })
    })
    .all('/', notAllowed('GET'))
    .get('/:digest', async (c) => {
      const digest = c.req.param('digest')
      const known = /^[0-9a-f]{64}$/.test(digest)
      const body = known ? await embassy.document(digest, c.req.raw.signal) : undefined
      if (!body)
        throw new SealedError(
          'request.not_found',
          'no attestation document here has this SHA-256 digest (64 hex digits)',
        )
      c.header('cache-control', FOREVER)
      return c.body(body as Uint8Array<ArrayBuffer>, 200, { 'content-type': 'application/json' })
    })
    .all('/:digest', notAllowed('GET'))

function oneNonce(given: string[]): string | undefined {
  const [nonce, ...more] = given
  if (nonce === undefined) return undefined
  let length = 0
  try {
    length = fromBase64url(nonce).length
  } catch {}
  if (more.length === 0 && length >= 16 && length <= 64) return nonce
  throw new SealedError('request.invalid', 'nonce must be one base64url of 16 to 64 bytes', {
    param: 'nonce',
  })
}
