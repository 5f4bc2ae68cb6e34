// Why no certificate came of an attempt: for the log and the metrics, and for whoever decides when to try again. No
// caller of the gateway ever sees one.

/** Labels of a metric: a fixed set. */
export const REASONS = [
  'unreachable',
  'rate_limited',
  'refused',
  'order_invalid',
  'certificate',
] as const
export type Reason = (typeof REASONS)[number]

export class AcmeFailure extends Error {
  readonly reason: Reason
  /** How long the server asked not to be asked again. */
  readonly retryAfterMs: number | undefined

  constructor(
    reason: Reason,
    message: string,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AcmeFailure'
    this.reason = reason
    this.retryAfterMs = options.retryAfterMs
  }
}

const CONTROL = /\p{Cc}+/gu
const MAX_TEXT = 300

/** What a server said, for a line of the log. */
export const quoted = (text: unknown): string =>
  String(text).replace(CONTROL, ' ').slice(0, MAX_TEXT)
