// GET /v1/receipts/{id}: a session's receipt, for whoever knows its id.
import { SealedError } from '@sealed/protocol'
import { Hono } from 'hono'
import type { AppEnv, EmbassyClient } from '../deps.ts'
import { notAllowed } from './not-allowed.ts'

export const receipts = (embassy: EmbassyClient) =>
  new Hono<AppEnv>()
    .get('/:id', async (c) => {
      const id = c.req.param('id')
      const known = /^[0-9a-f]{32}$/.test(id)
      const receipt = known ? await embassy.receipt(id, c.req.raw.signal) : undefined
      if (receipt === undefined)
        throw new SealedError('request.not_found', 'no receipt here has this id (32 hex digits)')
      c.header('cache-control', 'private, max-age=31536000, immutable')
      c.header('vary', 'accept')
      return wantsJson(c.req.header('accept')) ? c.json({ receipt }) : c.text(receipt)
    })
    .all('/:id', notAllowed('GET'))

/** True when JSON is asked for by name. */
const wantsJson = (accept = '') =>
  accept
    .split(',')
    .some((range) => range.split(';')[0]!.trim().toLowerCase() === 'application/json')
