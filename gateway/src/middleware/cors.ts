// Lets web pages of the origins that a deployment names call from a browser (the Fetch standard's CORS protocol). It is
// no access control: it only says what a browser may show to a page. Cookies never count here, so credentials are not
// allowed, and no other origin hears anything.
import { createMiddleware } from 'hono/factory'
import type { AppEnv } from '../deps.ts'

/** What a page may read of an answer besides its body. */
export const EXPOSED = [
  'preference-applied',
  'retry-after',
  'sealed-edge-attestation',
  'sealed-nonce',
  'sealed-receipt-id',
  'sealed-salt',
  'sealed-workload-status',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-request-id',
  'x-should-retry',
]
const METHODS = 'GET, HEAD, POST'
/** How long a browser may keep what a preflight said; browsers themselves keep it for two hours at the most. */
const MAX_AGE_S = 600
const HEADER_NAMES = /^[a-z0-9-]{1,64}(?:, ?[a-z0-9-]{1,64}){0,31}$/i

/** Before everything that may refuse: a preflight has no API key, and a page must be able to read a refusal. */
export function cors(origins: readonly string[]) {
  const allowed = new Set(origins)
  return createMiddleware<AppEnv>(async (c, next) => {
    if (allowed.size === 0) return next()
    const origin = c.req.header('origin')
    const isAllowed = origin !== undefined && allowed.has(origin)
    if (isAllowed) {
      c.header('access-control-allow-origin', origin)
      c.header('access-control-expose-headers', EXPOSED.join(', '))
    }
    if (isAllowed && c.req.method === 'OPTIONS' && c.req.header('access-control-request-method')) {
      // The headers are those that the page's SDK asks for: which they are changes nothing here.
      const asked = c.req.header('access-control-request-headers')
      if (asked !== undefined && HEADER_NAMES.test(asked))
        c.header('access-control-allow-headers', asked)
      c.header('access-control-allow-methods', METHODS)
      c.header('access-control-max-age', String(MAX_AGE_S))
      c.header('vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers')
      return c.body(null, 204)
    }
    await next()
    // Also where there was no origin: a cache must not give that answer to a page.
    c.header('vary', 'Origin', { append: true })
  })
}
