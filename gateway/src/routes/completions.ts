// The plain door: OpenAI's endpoints. The body goes to the workload unchanged and its answer comes back unchanged, with
// the receipt spliced in. Nothing is sent before the answer's status is known, but to a client that asked for a stream
// and has waited long: it is told by heartbeats that somebody is still there.
import {
  type Bytes,
  fromBase64url,
  fromUtf8,
  SealedError,
  SessionFailure,
  spliceReceipt,
} from '@sealed/protocol'
import { type Context, Hono } from 'hono'
import { readBody, requireType } from '../body.ts'
import type { AppEnv, Deps, PlainAnswer, PlainStream } from '../deps.ts'
import { AFTER_REVEAL, invitesRetry } from '../errors.ts'
import { eventStream, HEARTBEAT_MS, soon } from '../event-stream.ts'
import { streamed } from '../stream.ts'
import { findWorkload, type StatusCache } from '../workloads.ts'
import { notAllowed } from './not-allowed.ts'

/** One endpoint; the path that is asked for here is the one that the workload is asked for. */
export const completions = (deps: Deps, status: StatusCache, endpoint: string) =>
  new Hono<AppEnv>()
    .post('/', async (c) => {
      requireType(c, 'application/json')
      const nonce = readNonce(c.req.header('sealed-nonce'))
      const body = await readBody(c, deps, deps.limits.bodyBytes, 'request.too_large')
      const { model, stream } = readRequest(body)
      const workload = findWorkload(await status.get(), model, endpoint)
      const { signal } = c.req.raw
      signal.throwIfAborted()
      c.set('sent', true)
      const pending = deps.relay.plain({
        caller: c.get('caller'),
        workload: workload.name,
        endpoint,
        body,
        contentType: 'application/json',
        ...(nonce !== undefined && { nonce }),
        stream,
        signal,
      })
      if (nonce !== undefined) c.header('sealed-nonce', nonce)
      const answer = stream ? await soon(pending, HEARTBEAT_MS) : await pending
      if (answer === undefined) return hold(c, deps, pending)
      return 'pieces' in answer ? pass(c, deps, answer) : send(c, answer)
    })
    .all('/', notAllowed('POST'))

/** Reads what the gateway must know of a body; throws `request.invalid`. */
function readRequest(body: Uint8Array): { model: string; stream: boolean } {
  let request: unknown
  try {
    request = JSON.parse(fromUtf8(body))
  } catch {
    throw new SealedError('request.invalid', 'the body is not JSON in UTF-8')
  }
  if (typeof request !== 'object' || request === null || Array.isArray(request))
    throw new SealedError('request.invalid', 'the body must be a JSON object')
  const { model, stream } = request as Record<string, unknown>
  if (typeof model !== 'string')
    throw new SealedError('request.invalid', 'model must be a string', { param: 'model' })
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean')
    throw new SealedError('request.invalid', 'stream must be true or false', { param: 'stream' })
  return { model, stream: stream === true }
}

function readNonce(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  let length = 0
  try {
    length = fromBase64url(header).length
  } catch {}
  if (length >= 16 && length <= 64) return header
  throw new SealedError('request.invalid', 'Sealed-Nonce must be base64url of 16 to 64 bytes', {
    param: 'sealed-nonce',
  })
}

/** Passes an event stream on as it comes. */
function pass(c: Context<AppEnv>, deps: Deps, answer: PlainStream): Response {
  c.header('sealed-receipt-id', answer.receiptId)
  c.header('sealed-salt', answer.salt)
  return events(c, deps, Promise.resolve(answer.pieces))
}

/** Keeps a client that waits long for the head of its stream. */
function hold(
  c: Context<AppEnv>,
  deps: Deps,
  pending: Promise<PlainAnswer | PlainStream>,
): Response {
  const pieces = pending.then((answer) => {
    if ('pieces' in answer) return answer.pieces
    throw new SessionFailure(
      'workload.failed',
      `the workload answered ${answer.status} and no event stream: ask again without stream for what it says`,
      { receipt: answer.receipt },
    )
  })
  return events(c, deps, pieces)
}

function events(c: Context<AppEnv>, deps: Deps, pieces: Promise<PlainStream['pieces']>): Response {
  const idOnly = prefersId(c.req.header('prefer'))
  if (idOnly) c.header('preference-applied', 'receipt=id')
  return streamed(c, deps, {
    source: eventStream(pieces, { idOnly }),
    ended: c.get('holdSlot')(),
    headers: { 'content-type': 'text/event-stream; charset=utf-8' },
  })
}

function send(c: Context<AppEnv>, answer: PlainAnswer): Response {
  const idOnly = prefersId(c.req.header('prefer'))
  const succeeded = answer.status >= 200 && answer.status < 300
  if (/^text\/event-stream\b/i.test(answer.contentType))
    throw new SessionFailure(
      'workload.failed',
      'the workload streamed an answer that was asked for whole; its events could pass for the gateway’s own',
      { receipt: answer.receipt },
    )
  c.header('cache-control', 'no-store')
  c.header('sealed-receipt-id', answer.receiptId)
  c.header('sealed-salt', answer.salt)
  if (idOnly) c.header('preference-applied', 'receipt=id')
  if (!succeeded) c.header('x-should-retry', 'false')
  let status = answer.status
  if (invitesRetry(status) || status < 200) {
    // The session is over and counted: an SDK that sends again would pay for it twice.
    c.header('sealed-workload-status', String(status))
    status = AFTER_REVEAL
  }
  // Also where nothing is spliced in: a `receipt` that the workload wrote must never look like one of ours.
  const spliced = spliceReceipt(answer.body, answer.receipt)
  if (answer.body.length === 0 || status === 204 || status === 205 || status === 304)
    return c.body(null, status as 204)
  const staple = succeeded && !idOnly && isJson(answer.contentType)
  const body = (staple && spliced ? spliced : answer.body) as Bytes
  return c.body(body, status as 200, { 'content-type': answer.contentType })
}

const isJson = (type: string) => /^application\/(?:[a-z0-9.-]+\+)?json *(?:;|$)/i.test(type)

/** RFC 7240: `Prefer: receipt=id`, alone or among others. */
const prefersId = (header = '') =>
  header.split(',').some((preference) => /^\s*receipt\s*=\s*"?id"?\s*(?:;|$)/i.test(preference))
