// Failures as an OpenAI SDK reads them. SDKs send again on 408, 409, 429 and everything from 500 up, so only what was
// certainly refused before the reveal has such a status; all else is 424 with `x-should-retry: false`.
import { type Code, SealedError, type Verdict } from '@sealed/protocol'
import { GatewayFailure, VerdictError } from '../failure.ts'

/** Of what is refused here, before it is sent. None invites to send again. */
const OWN: Partial<Record<Code, number>> = {
  'endpoint.unknown': 404,
  'request.method': 405,
  'request.too_large': 413,
  'request.invalid': 400,
  'request.unsupported': 400,
  'workload.unknown': 404,
}

const TYPES: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  424: 'session_error',
  429: 'rate_limit_error',
}

const UNREACHED_RETRY_MS = 1000

export const invitesRetry = (status: number): boolean =>
  status === 408 || status === 409 || status === 429 || status >= 500

/** The answer for an SDK. `sent`: an envelope was on its way, so that without the gateway's word a key may be revealed. */
export function failureResponse(thrown: unknown, sent: boolean): Response {
  const error = thrown instanceof SealedError ? thrown : unexpected(thrown)
  const { status, retryAfterMs } = judgeRetry(error, sent)
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
  if (!invitesRetry(status)) headers['x-should-retry'] = 'false'
  const { evidence } = known(error)
  const verdict = verdictIn(error)
  if (evidence?.receiptId !== undefined) headers['sealed-receipt-id'] = evidence.receiptId
  if (verdict) headers['sealed-verdict'] = verdict.outcome
  const { code, message, param } = error
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error')
  const body = {
    error: { message, type, code, param: param ?? null },
    ...(evidence?.receipt !== undefined && { receipt: evidence.receipt }),
  }
  return new Response(JSON.stringify(body), { status, headers })
}

/** The verdict that an error holds, on the machine or on the failed session's receipt. */
export const verdictIn = (error: unknown): Verdict | undefined => known(error).verdict

const known = (error: unknown): Partial<Pick<GatewayFailure, 'evidence' | 'verdict'>> =>
  error instanceof GatewayFailure || error instanceof VerdictError ? error : {}

function judgeRetry(error: SealedError, sent: boolean): { status: number; retryAfterMs?: number } {
  if (error instanceof GatewayFailure) {
    const { evidence, retryAfterMs, status } = error
    if (evidence || status === undefined) return { status: 424 }
    const refused = (status === 429 || status === 503) && error.remedy === 'retry'
    if (refused && retryAfterMs !== undefined) return { status, retryAfterMs }
    return { status: status >= 400 && !invitesRetry(status) ? status : 424 }
  }
  if (error.code === 'gateway.unreachable' && (!sent || neverConnected(error)))
    return { status: 503, retryAfterMs: UNREACHED_RETRY_MS }
  return { status: OWN[error.code] ?? 424 }
}

const UNCONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']

/** True where the system says that no connection came about, so that nothing can have arrived. */
function neverConnected(error: SealedError): boolean {
  const inner = error.cause instanceof Error ? error.cause.cause : undefined
  if (typeof inner !== 'object' || inner === null || !('code' in inner)) return false
  return UNCONNECTED.includes(String(inner.code))
}

const unexpected = (thrown: unknown) =>
  new SealedError(
    'internal.error',
    `an unexpected failure of the sealing client: ${thrown instanceof Error ? thrown.message : 'no error'}`,
    { cause: thrown },
  )
