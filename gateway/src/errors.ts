// Every error's HTTP answer, decided here once: `{error: {message, type, code, param}}` as OpenAI's SDKs expect. They
// retry 408, 409, 429 and everything from 500 up, so nothing that may come after a reveal has one of these.
import { type Code, decodeReceipt, SealedError, SessionFailure } from '@sealed/protocol'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { AppEnv } from './deps.ts'

/** The status of a session that failed after the reveal: no SDK sends the request again. */
export const AFTER_REVEAL = 424

const STATUS: Record<Code, ContentfulStatusCode> = {
  'encoding.invalid': 400,
  'json.invalid': 400,
  'json.not_canonical': 400,
  'schema.invalid': 400,
  'fernet.invalid': 400,
  'fernet.expired': 400,
  'envelope.invalid': 400,
  'envelope.version': 400,
  'envelope.too_large': 413,
  'envelope.key_unknown': 400,
  'envelope.key_mismatch': 400,
  'envelope.digest_mismatch': 400,
  'envelope.expired': 400,
  'envelope.replayed': 400,
  'envelope.expect_mismatch': 400,
  'instructions.invalid': 400,
  'instructions.unauthorized': 403,
  'instructions.forged': 403,
  'registry.unknown_capability': 400,
  'registry.full': 400,
  'request.invalid': 400,
  'request.too_large': 413,
  'request.unauthorized': 401,
  'request.not_found': 404,
  'receipt.pruned': 404,
  'request.method': 405,
  'request.unsupported': 400,
  'workload.unknown': 404,
  'endpoint.unknown': 404,
  'limit.caller': 429,
  'limit.rate': 429,
  'queue.full': 503,
  'queue.timeout': 503,
  'replica.unavailable': 503,
  'embassy.unavailable': 503,
  'attestation.busy': 503,
  'edge.unverified': 503,
  'disk.full': 503,
  'launch.unavailable': 503,
  'session.aborted': AFTER_REVEAL,
  'workload.failed': AFTER_REVEAL,
  'workload.timeout': AFTER_REVEAL,
  'workload.too_large': AFTER_REVEAL,
  'activations.missing': AFTER_REVEAL,
  'activations.invalid': AFTER_REVEAL,
  'seal.breached': AFTER_REVEAL,
  'seal.failed': 503,
  'tpm.failed': 503,
  'tee.failed': 503,
  'state.rollback': 503,
  'state.disk': 503,
  'state.locked': 503,
  'boot.key_lost': 503,
  'config.invalid': 500,
  'internal.error': 500,
  'log.damaged': 500,
  // said by clients and verifiers; a gateway that hears one of them from inside has a fault of its own
  'response.invalid': 500,
  'response.truncated': 500,
  'response.digest_mismatch': 500,
  'receipt.invalid': 500,
  'receipt.missing': 500,
  'evidence.invalid': 500,
  'log.fork': 500,
  'reading.unproven': 500,
  'verdict.failed': 500,
  'gateway.unreachable': 500,
}

/** The status of a code, where nothing was sent to the relay yet. */
export const statusOfCode = (code: Code): ContentfulStatusCode => STATUS[code]

/** True for a status that SDKs take as an invitation to send again. */
export const invitesRetry = (status: number): boolean =>
  status === 408 || status === 409 || status === 429 || status >= 500

/** A refusal with a status of its own, as where one code stands for several (415, 431). */
export class Refusal extends SealedError {
  readonly status: ContentfulStatusCode
  readonly headers: Record<string, string>

  constructor(
    code: Code,
    status: ContentfulStatusCode,
    message: string,
    options: { param?: string; headers?: Record<string, string> } = {},
  ) {
    super(code, message, options)
    this.status = status
    this.headers = options.headers ?? {}
  }
}

/** Faults of the trusted side that it finds before it reveals anything. */
const BEFORE_REVEAL: ReadonlySet<Code> = new Set([
  'seal.failed',
  'state.rollback',
  'boot.key_lost',
  'config.invalid',
])

function statusOf(error: SealedError, sent: boolean): ContentfulStatusCode {
  if (error instanceof Refusal) return error.status
  const status = STATUS[error.code]
  if (!invitesRetry(status)) return status
  const ended =
    error instanceof SessionFailure && (error.receipt !== undefined || error.session !== undefined)
  const doubtful = sent && error.remedy === 'stop' && !BEFORE_REVEAL.has(error.code)
  return ended || doubtful ? AFTER_REVEAL : status
}

const TYPES: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  424: 'session_error',
  429: 'rate_limit_error',
}

/** The body of an error; nothing of a failure that is not ours is in it. */
export function errorBody(status: number, error: Pick<SealedError, 'code' | 'message' | 'param'>) {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error')
  const { message, code, param } = error
  return { error: { message, type, code, param: param ?? null } }
}

/** Receipts above this size go by their id: an error's body is read with a small bound. */
const MAX_RECEIPT_IN_ERROR = 32_768

/** Answers with any error at all. */
export function answerError(c: Context<AppEnv>, thrown: unknown): Response {
  const error =
    thrown instanceof SealedError
      ? thrown
      : new SealedError('internal.error', 'an unexpected failure of the gateway; see its log')
  const status = statusOf(error, c.get('sent') ?? false)
  const failure = error instanceof SessionFailure ? error : undefined
  c.set('code', error.code)
  c.header('cache-control', 'no-store')
  if (error instanceof Refusal)
    for (const [name, value] of Object.entries(error.headers)) c.header(name, value)
  if (status === 401) c.header('www-authenticate', 'Bearer realm="sealed"')
  if (error.remedy === 'retry' && (status === 429 || status === 503))
    c.header('retry-after', retryAfter(failure?.retryAfterMs))
  if (error.remedy === 'stop' || status === AFTER_REVEAL) c.header('x-should-retry', 'false')
  const body = errorBody(status, error)
  const id = failure?.session ?? receiptId(failure?.receipt)
  if (id !== undefined) c.header('sealed-receipt-id', id)
  if (failure?.receipt === undefined) return c.json(body, status)
  if (failure.receipt.length > MAX_RECEIPT_IN_ERROR) return c.json(body, status)
  return c.json({ ...body, receipt: failure.receipt }, status)
}

/** Whole seconds, from one second to a day. */
const retryAfter = (ms = 0) => String(Math.min(86_400, Math.max(1, Math.ceil(ms / 1000))))

function receiptId(receipt: string | undefined): string | undefined {
  if (receipt === undefined) return undefined
  try {
    return decodeReceipt(receipt).leaf.session
  } catch {
    return undefined
  }
}
