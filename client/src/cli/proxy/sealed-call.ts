// One request through the sealed fetch. Of its headers only those go on that the fetch reads, and its body goes nowhere
// but into an envelope: whatever cannot be sealed is refused by the fetch, and nothing here goes round it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Bytes, concat, MAX_ENVELOPE_BYTES, SealedError } from '@sealed/protocol'
import type { SdkFetch } from '../../fetch/build.ts'
import { failureResponse } from '../../fetch/failure-response.ts'
import { type Entry, outcomeOf } from './verdict-ring.ts'
import { writeResponse } from './write-response.ts'

const READ = ['authorization', 'content-encoding', 'x-stainless-retry-count'] as const

export type Came = Pick<Entry, 'outcome' | 'failed' | 'code' | 'receipt_id'>

/** Answers, and says what came of it once that is over. */
export async function sealedCall(
  fetch: SdkFetch,
  gateway: string,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<Came> {
  const leave = new AbortController()
  res.once('close', () => leave.abort(new SealedError('session.aborted', 'the caller has left')))
  let response: Response
  try {
    response = await fetch(gateway + req.url, await initOf(req, leave.signal))
  } catch (error) {
    if (res.destroyed) return GONE
    response = failureResponse(error, false)
  }
  const outcome = outcomeOf(response)
  const receipt_id = response.headers.get('sealed-receipt-id')
  await writeResponse(response, res).catch(() => {})
  return { ...(await outcome), receipt_id }
}

const GONE: Came = { outcome: 'none', failed: [], code: 'session.aborted', receipt_id: null }

async function initOf(req: IncomingMessage, signal: AbortSignal): Promise<RequestInit> {
  const { method = 'GET' } = req
  const headers = new Headers()
  for (const name of READ) {
    const value = req.headers[name]
    if (value !== undefined) headers.set(name, String(value))
  }
  const body = await readBody(req)
  const bodiless = method === 'GET' || method === 'HEAD'
  return { method, headers, signal, ...(!bodiless && { body }) }
}

async function readBody(req: IncomingMessage): Promise<Bytes> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of req as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > MAX_ENVELOPE_BYTES)
      throw new SealedError(
        'request.too_large',
        `the body has more than ${MAX_ENVELOPE_BYTES} bytes`,
      )
    parts.push(part)
  }
  return concat(...parts)
}
