// What can go wrong between a client and a gateway, as errors: each keeps what a caller needs to look further (the
// verdict, the receipt, the evidence), and none holds a key.
import {
  type AttestationDocument,
  type Bytes,
  CODES,
  type Code,
  SealedError,
  SessionFailure,
  type Verdict,
} from '@sealed/protocol'

/** All that is needed to verify one session later, offline; no key is in it. */
export interface Evidence {
  document: AttestationDocument
  /** The envelope exactly as sent. */
  request: Bytes
  /** Per-session salt under which statements digest contents. */
  salt: Bytes
  /** The workload's body as far as it came; absent where the session committed to none. */
  output?: Bytes
  /** base64url, as it came. */
  receipt?: string
  /** Id under which the gateway keeps the receipt. */
  receiptId?: string
}

/** The gateway refused a request, or its session failed. `code` is the server's. */
export class GatewayFailure extends SessionFailure {
  /** HTTP status; of the `head` frame when the session failed after the reveal. */
  readonly status: number | undefined
  /** Present once an envelope was taken: the session may have a receipt. */
  readonly evidence: Evidence | undefined
  /** The verdict on the failed session's receipt. */
  readonly verdict: Verdict | undefined

  constructor(
    code: Code,
    message: string,
    options: {
      param?: string
      cause?: unknown
      retryAfterMs?: number
      status?: number
      evidence?: Evidence
      verdict?: Verdict
    } = {},
  ) {
    const receipt = options.evidence?.receipt
    super(code, message, { ...options, ...(receipt !== undefined && { receipt }) })
    this.name = 'GatewayFailure'
    this.status = options.status
    this.evidence = options.evidence
    this.verdict = options.verdict
  }
}

/** A verdict other than `verified`. Nothing was sent, or, where there is evidence, the answer must not be trusted. */
export class VerdictError extends SealedError {
  readonly verdict: Verdict
  readonly evidence: Evidence | undefined

  constructor(message: string, verdict: Verdict, evidence?: Evidence) {
    super('verdict.failed', message)
    this.name = 'VerdictError'
    this.verdict = verdict
    this.evidence = evidence
  }
}

const BY_STATUS: Record<number, Code> = {
  401: 'request.unauthorized',
  403: 'request.unauthorized',
  404: 'request.not_found',
  405: 'request.method',
  413: 'request.too_large',
  429: 'limit.caller',
  503: 'embassy.unavailable',
}

/** What an OpenAI-shaped error body says; undefined when the body is none. */
export function readErrorBody(
  body: string,
): { code: Code | undefined; message: string; param: string | undefined } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return undefined
  }
  const error = member(parsed, 'error')
  const message = member(error, 'message')
  if (typeof message !== 'string') return undefined
  const code = member(error, 'code')
  const param = member(error, 'param')
  return {
    code: typeof code === 'string' && Object.hasOwn(CODES, code) ? (code as Code) : undefined,
    message: message.slice(0, 2048),
    param: typeof param === 'string' ? param.slice(0, 256) : undefined,
  }
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined

/** The error that an HTTP answer stands for, whatever its body is. */
export function failureOf(
  status: number,
  body: string,
  options: { where: string; retryAfterMs?: number },
): GatewayFailure {
  const said = readErrorBody(body)
  const code =
    said?.code ?? BY_STATUS[status] ?? (status < 500 ? 'request.invalid' : 'internal.error')
  const message =
    said?.message ?? `${options.where} answered ${status} with no error of a sealed gateway`
  return new GatewayFailure(code, message, {
    status,
    ...(said?.param !== undefined && { param: said.param }),
    ...(options.retryAfterMs !== undefined && { retryAfterMs: options.retryAfterMs }),
  })
}
