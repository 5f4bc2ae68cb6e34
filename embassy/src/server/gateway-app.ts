// What the embassy answers the gateway: attestation, receipts, status. Nothing secret passes here.
import {
  type AttestationDocument,
  canonicalBytes,
  fromBase64url,
  type Overview,
  SealedError,
  type Status,
} from '@sealed/protocol'
import { Hono } from 'hono'
import type { Challenges } from '../attestation/challenges.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Store } from '../store/store.ts'
import { onError } from './errors.ts'
import { type LogRoutesDeps, logRoutes } from './log-routes.ts'

export interface GatewayAppDeps extends LogRoutesDeps {
  document: () => AttestationDocument
  /** Undefined where there is no TPM to answer: a document is all there is then. */
  challenges: Pick<Challenges, 'answer'> | undefined
  store: Store
  ledger: Pick<Ledger, 'receipt' | 'written'>
  status: () => Status
  /** `note` is the newest checkpoint's. */
  overview: (note: string | undefined) => Overview
  /** Prometheus text. */
  metrics: () => Promise<string>
}

export function gatewayApp(deps: GatewayAppDeps): Hono {
  const app = new Hono()
  app.onError(onError)
  const noReceipt = async (id: string) =>
    (await deps.store.runLazy('pruned', id)) ? pruned() : notFound('receipt')
  app.get('/attestation', async (c) => {
    const nonce = c.req.query('nonce')
    const challenge =
      nonce === undefined ? undefined : await deps.challenges?.answer(parseNonce(nonce))
    const answer = { ...(challenge && { challenge }), document: deps.document() }
    return c.body(canonicalBytes(answer), 200, { 'content-type': 'application/json' })
  })
  app.get('/attestation/:digest', async (c) => {
    const document = await deps.store.runLazy('document', c.req.param('digest'))
    if (document === undefined) throw notFound('attestation document')
    return c.body(document, 200, { 'content-type': 'application/json' })
  })
  app.get('/receipts/:id', async (c) => {
    const id = c.req.param('id')
    const receipt = await deps.ledger.receipt(id)
    if (receipt === undefined) throw await noReceipt(id)
    return c.text(receipt)
  })
  app.get('/receipts/:id/proof', async (c) => {
    await deps.ledger.written()
    const id = c.req.param('id')
    const proof = await deps.store.runLazy('proof', id)
    if (proof === undefined) throw await noReceipt(id)
    return c.text(proof)
  })
  app.use('/log/*', async (_, next) => {
    await deps.ledger.written()
    await next()
  })
  app.route('/log', logRoutes(deps))
  app.get('/status', (c) => c.json(deps.status()))
  app.get('/overview', async (c) =>
    c.json(deps.overview(await deps.store.runLazy('checkpoint', deps.origin))),
  )
  app.get('/metrics', async (c) => c.text(await deps.metrics()))
  return app
}

function parseNonce(text: string): Uint8Array {
  const nonce = /^[A-Za-z0-9_-]{1,86}$/.test(text) ? fromBase64url(text) : new Uint8Array(0)
  if (nonce.length < 16 || nonce.length > 64)
    throw new SealedError('request.invalid', 'nonce must be 16 to 64 bytes in base64url', {
      param: 'nonce',
    })
  return nonce
}

const notFound = (what: string) => new SealedError('request.not_found', `no such ${what} here`)

const pruned = () =>
  new SealedError(
    'receipt.pruned',
    'this session had a receipt, and it is older than this machine keeps them: whoever kept a copy can still verify it',
  )
