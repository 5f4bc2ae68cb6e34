// The one base error, its closed set of codes, and what the caller should do about each.

/** What the caller does next: mend the request, try again later, or stop and look. */
export type Remedy = 'request' | 'retry' | 'stop'

/** Every code there is. The HTTP status of a code is decided once per server, not here. */
export const CODES = {
  // encodings and formats
  'encoding.invalid': 'request',
  'json.invalid': 'request',
  'json.not_canonical': 'request',
  'schema.invalid': 'request',
  'fernet.invalid': 'request',
  'fernet.expired': 'request',
  // envelope
  'envelope.invalid': 'request',
  'envelope.version': 'request',
  'envelope.too_large': 'request',
  'envelope.key_unknown': 'request',
  'envelope.key_mismatch': 'request',
  'envelope.digest_mismatch': 'request',
  'envelope.expired': 'request',
  'envelope.replayed': 'request',
  'envelope.expect_mismatch': 'request',
  // instructions and authorities
  'instructions.invalid': 'request',
  'instructions.unauthorized': 'request',
  'instructions.forged': 'request',
  'registry.unknown_capability': 'request',
  'registry.full': 'request',
  // requests at the door
  'request.invalid': 'request',
  'request.too_large': 'request',
  'request.unauthorized': 'request',
  'request.not_found': 'request',
  'receipt.pruned': 'request',
  'request.method': 'request',
  'request.unsupported': 'request',
  'workload.unknown': 'request',
  'endpoint.unknown': 'request',
  'limit.caller': 'retry',
  'limit.rate': 'retry',
  'queue.full': 'retry',
  'queue.timeout': 'retry',
  'replica.unavailable': 'retry',
  'embassy.unavailable': 'retry',
  'attestation.busy': 'retry',
  'edge.unverified': 'retry',
  'disk.full': 'retry',
  // a machine that is being launched
  'launch.unavailable': 'retry',
  // after the reveal: never retried by an SDK
  'session.aborted': 'stop',
  'workload.failed': 'stop',
  'workload.timeout': 'stop',
  'workload.too_large': 'stop',
  'activations.missing': 'stop',
  'activations.invalid': 'stop',
  'seal.breached': 'stop',
  // the trusted side itself
  'seal.failed': 'stop',
  'tpm.failed': 'stop',
  'tee.failed': 'stop',
  'state.rollback': 'stop',
  'state.disk': 'stop',
  'state.locked': 'stop',
  'boot.key_lost': 'stop',
  'config.invalid': 'stop',
  'internal.error': 'stop',
  // answers and evidence, as the client and the verifier see them
  'response.invalid': 'stop',
  'response.truncated': 'stop',
  'response.digest_mismatch': 'stop',
  'receipt.invalid': 'stop',
  'receipt.missing': 'stop',
  'evidence.invalid': 'stop',
  'log.damaged': 'stop',
  'log.fork': 'stop',
  'reading.unproven': 'stop',
  'verdict.failed': 'stop',
  'gateway.unreachable': 'retry',
} as const satisfies Record<string, Remedy>

export type Code = keyof typeof CODES

/** The one error this code base throws on purpose. `message` never holds a secret. */
export class SealedError extends Error {
  readonly code: Code
  /** The member or header at fault, where there is one. */
  readonly param: string | undefined

  constructor(code: Code, message: string, options: { param?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SealedError'
    this.code = code
    this.param = options.param
  }

  get remedy(): Remedy {
    return CODES[this.code]
  }
}
