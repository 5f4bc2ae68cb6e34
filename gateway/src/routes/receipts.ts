// GET /v1/receipts/{id}[/proof]: a session's receipt, and its leaf's way to the newest checkpoint, for whoever knows
// its id.
import { SealedError } from '@sealed/protocol'
import { Hono } from 'hono'
import { accepts } from '../accept.ts'
import type { AppEnv, EmbassyClient } from '../deps.ts'
import { notAllowed } from './not-allowed.ts'

const RECEIPT_ID = /^[0-9a-f]{32}$/
const noReceipt = () =>
  new SealedError('request.not_found', 'no receipt here has this id (32 hex digits)')

export const receipts = (embassy: EmbassyClient) =>
  new Hono<AppEnv>()
    .get('/:id', async (c) => {
      const id = c.req.param('id')
      const known = RECEIPT_ID.test(id)
      const receipt = known ? await embassy.receipt(id, c.req.raw.signal) : undefined
      if (receipt === undefined) throw noReceipt()
      c.header('cache-control', 'private, max-age=31536000, immutable')
      c.header('vary', 'accept')
      return accepts(c.req.header('accept'), 'application/json')
        ? c.json({ receipt })
        : c.text(receipt)
    })
    .all('/:id', notAllowed('GET'))
    .get('/:id/proof', async (c) => {
      const id = c.req.param('id')
      const proof = RECEIPT_ID.test(id) ? await embassy.proof(id, c.req.raw.signal) : undefined
      if (proof === undefined) throw noReceipt()
      c.header('cache-control', 'no-store')
      return c.text(proof)
    })
    .all('/:id/proof', notAllowed('GET'))
