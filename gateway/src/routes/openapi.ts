// GET /openapi.json: what can be asked here, for machines.
import { utf8 } from '@sealed/protocol'
import { Hono } from 'hono'
import type { AppEnv } from '../deps.ts'
import { DOCUMENT } from '../openapi/document.ts'
import { notAllowed } from './not-allowed.ts'

/** Written once: it is the same for as long as this program is. */
const BYTES = utf8(JSON.stringify(DOCUMENT))

export const openapi = () =>
  new Hono<AppEnv>()
    .get('/', (c) =>
      c.body(BYTES, 200, {
        'content-type': 'application/json',
        'cache-control': 'public, max-age=3600',
      }),
    )
    .all('/', notAllowed('GET'))
