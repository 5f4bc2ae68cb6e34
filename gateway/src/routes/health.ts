// GET /health/live: this process answers. GET /health/ready, and /health: whether requests would be served now, and why
// not. Whose certificate is served is told beside it and decides nothing: attested clients are served in any case.
import { SealedError } from '@sealed/protocol'
import { type Context, Hono } from 'hono'
import type { AppEnv, CertificateState } from '../deps.ts'
import type { StatusCache } from '../workloads.ts'
import { notAllowed } from './not-allowed.ts'

export function health(status: StatusCache, certificate?: () => CertificateState) {
  const ready = async (c: Context<AppEnv>) => {
    c.header('cache-control', 'no-store')
    const served = certificate && { certificate: certificate() }
    try {
      const { ready, reason } = await status.get()
      return c.json({ ready, reason, ...served }, ready ? 200 : 503)
    } catch (error) {
      if (!(error instanceof SealedError)) throw error
      return c.json({ ready: false, reason: error.message, ...served }, 503)
    }
  }
  return new Hono<AppEnv>()
    .get('/', ready)
    .get('/ready', ready)
    .get('/live', (c) => {
      c.header('cache-control', 'no-store')
      return c.json({ live: true })
    })
    .on('ALL', ['/', '/ready', '/live'], notAllowed('GET'))
}
