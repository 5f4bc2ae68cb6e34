// POST /v1/sealed, the envelope door: looks at an envelope's form and age, hands its bytes on unread, and carries the
// sealed answer back as it comes. It holds no key that opens either.
import {
  ENVELOPE_TYPE,
  ISSUED_WINDOW_MS,
  MAX_ENVELOPE_BYTES,
  parseEnvelope,
  RESPONSE_TYPE,
  SealedError,
} from '@sealed/protocol'
import { Hono } from 'hono'
import { readBody, requireType } from '../body.ts'
import type { AppEnv, Deps } from '../deps.ts'
import { streamed } from '../stream.ts'
import { notAllowed } from './not-allowed.ts'

export const sealed = (deps: Deps, clock: () => number) =>
  new Hono<AppEnv>()
    .post('/', async (c) => {
      requireType(c, ENVELOPE_TYPE)
      const envelope = await readBody(c, deps, MAX_ENVELOPE_BYTES, 'envelope.too_large')
      const { header } = await parseEnvelope(envelope)
      refuseStale(header.issued_ms, clock())
      const { signal } = c.req.raw
      signal.throwIfAborted()
      c.set('sent', true)
      const authorization = c.req.header('authorization')
      const { body, headers, receiptId } = await deps.relay.sealed({
        caller: c.get('caller'),
        envelope,
        header,
        from: {
          requestId: c.get('requestId'),
          ...(authorization !== undefined && { authorization }),
        },
        signal,
      })
      const release = c.get('holdSlot')()
      signal.addEventListener('abort', release, { once: true })
      return streamed(c, deps, {
        source: body,
        ended: release,
        headers: { ...headers, 'content-type': RESPONSE_TYPE, 'sealed-receipt-id': receiptId },
      })
    })
    .all('/', notAllowed('POST'))

function refuseStale(issuedMs: number, now: number): void {
  const off = now - issuedMs
  if (Math.abs(off) <= ISSUED_WINDOW_MS) return
  throw new SealedError(
    'envelope.expired',
    `the envelope was issued ${Math.round(Math.abs(off) / 1000)} s ${off > 0 ? 'ago' : 'ahead of this clock'}; ` +
      `${ISSUED_WINDOW_MS / 1000} s are allowed: seal a new one, with a clock that is right`,
    { param: 'issued_ms' },
  )
}
