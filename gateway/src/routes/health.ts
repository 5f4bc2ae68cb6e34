// GET /health: whether requests would be served now, and why not.
import { SealedError } from '@sealed/protocol'
import { Hono } from 'hono'
import type { AppEnv } from '../deps.ts'
import type { StatusCache } from '../workloads.ts'
import { notAllowed } from './not-allowed.ts'

export const health = (status: StatusCache) =>
  new Hono<AppEnv>()
    .get('/', async (c) => {
      c.header('cache-control', 'no-store')
      try {
        const { ready, reason } = await status.get()
        return c.json({ ready, reason }, ready ? 200 : 503)
      } catch (error) {
        if (!(error instanceof SealedError)) throw error
        return c.json({ ready: false, reason: error.message }, 503)
      }
    })
    .all('/', notAllowed('GET'))
