// What the three processes of one machine say to each other on Unix sockets: JSON over HTTP between the gateway and the
// embassy (attestation, receipts, status), frames between gateway and relay (requests), lines of JSON between relay and
// embassy (sessions).
// Errors are `{error: {code, message, param, retry_after_ms, receipt}}`, whatever the call.
import * as v from 'valibot'
import { fromUtf8 } from './bytes.ts'
import { CODES, type Code, SealedError } from './errors.ts'
import { base64url, check, digest, hex, integer, name, text } from './schema.ts'
import { ABORT_REASONS } from './statement.ts'

const codes = Object.keys(CODES) as [Code, ...Code[]]
const receipt = v.pipe(v.string(), v.maxLength(65_536))

export const rpcErrorSchema = v.strictObject({
  error: v.strictObject({
    code: v.picklist(codes),
    message: text(2048),
    param: v.exactOptional(text(256)),
    /** Receipt of the session that this failure ended, where there was one. */
    receipt: v.exactOptional(receipt),
    retry_after_ms: v.exactOptional(integer()),
    /** The session that was begun, also where its receipt is not there yet. */
    session: v.exactOptional(hex(16)),
  }),
})
export type RpcError = v.InferOutput<typeof rpcErrorSchema>

/** A failure on its way between processes, with the receipt of the session that it ended. */
export class SessionFailure extends SealedError {
  readonly receipt: string | undefined
  readonly retryAfterMs: number | undefined
  readonly session: string | undefined

  constructor(
    code: Code,
    message: string,
    options: {
      param?: string
      cause?: unknown
      receipt?: string
      retryAfterMs?: number
      session?: string
    } = {},
  ) {
    super(code, message, options)
    this.receipt = options.receipt
    this.retryAfterMs = options.retryAfterMs
    this.session = options.session
  }
}

/** The wire form of any error; an unexpected one says nothing of its inside. */
export function toRpcError(error: unknown): RpcError {
  if (!(error instanceof SealedError))
    return {
      error: {
        code: 'internal.error',
        message: 'an unexpected failure; see the log of the process',
      },
    }
  const { code, message, param } = error
  const more = error instanceof SessionFailure ? error : undefined
  return {
    error: {
      code,
      message: message.slice(0, 2048),
      ...(param !== undefined && { param: param.slice(0, 256) }),
      ...(more?.receipt !== undefined && { receipt: more.receipt }),
      ...(more?.retryAfterMs !== undefined && { retry_after_ms: more.retryAfterMs }),
      ...(more?.session !== undefined && { session: more.session }),
    },
  }
}

/** The error that an answer carries; an answer that is no RPC error becomes `internal.error`. */
export function fromRpcError(body: unknown): SessionFailure {
  const parsed = v.safeParse(rpcErrorSchema, body)
  if (!parsed.success)
    return new SessionFailure('internal.error', 'a process of this machine answered garbage')
  const { code, message, param, receipt, retry_after_ms, session } = parsed.output.error
  return new SessionFailure(code, message, {
    ...(param !== undefined && { param }),
    ...(receipt !== undefined && { receipt }),
    ...(retry_after_ms !== undefined && { retryAfterMs: retry_after_ms }),
    ...(session !== undefined && { session }),
  })
}

/** The error in an answer's bytes; garbage is `internal.error`. */
export function readRpcError(bytes: Uint8Array): SessionFailure {
  let body: unknown
  try {
    body = JSON.parse(fromUtf8(bytes))
  } catch {}
  return fromRpcError(body)
}

/**
 * relay → embassy, `open`: admission. On the envelope door nothing is sealed or revealed yet: the relay shows
 * first that the input is authentic. On the plain door there is nothing to show, and the reveal comes with the answer;
 * the relay draws the session's id (16 random bytes), so that it can end a session that still waits.
 */
export const openSchema = v.variant('door', [
  v.strictObject({
    caller: text(64),
    door: v.literal('envelope'),
    header: base64url(4096),
    /** Length of the input token, for usage. */
    input_bytes: v.exactOptional(integer()),
    /** SHA-256 of the input token that the relay holds. */
    input_digest: digest,
    instructions: text(8192),
    keys: v.strictObject({ action: base64url(512), input: base64url(512) }),
  }),
  v.strictObject({
    caller: text(64),
    door: v.literal('plain'),
    endpoint: text(64),
    /** Length of the body, for usage. */
    input_bytes: v.exactOptional(integer()),
    /** SHA-256 of the body. */
    input_sha256: digest,
    nonce: v.exactOptional(base64url(64)),
    session: hex(16),
    workload: name,
  }),
])
export type OpenRequest = v.InferOutput<typeof openSchema>

/** relay → embassy, `reveal`, and with an opened plain session: a replica was sealed, then revealed to. */
export const revealedSchema = v.variant('kind', [
  v.strictObject({
    address: text(64),
    /** A workload that takes part itself: it gets the input as a token, and this address to ask for its key. */
    cooperative: v.exactOptional(
      v.strictObject({
        /** Plain door: the key that the relay makes the token with. */
        input_key: v.exactOptional(base64url(32)),
        url: text(128),
      }),
    ),
    encryption_key: v.exactOptional(base64url(16)),
    endpoint: text(64),
    kind: v.literal('replica'),
    output_bytes: integer(1),
    port: integer(1, 65535),
    /** Range that the relay's end of the connection must lie in. */
    relay_ports: v.strictTuple([integer(1, 65535), integer(1, 65535)]),
    /** How many share the replica at once: connections that it may have. */
    sessions: integer(1, 256),
    workload_ms: integer(1),
  }),
  v.strictObject({ kind: v.literal('reading'), reading: v.string(), receipt }),
])
export type Revealed = v.InferOutput<typeof revealedSchema>

export const openedSchema = v.variant('door', [
  v.strictObject({
    door: v.literal('envelope'),
    response_secret: base64url(32),
    session: hex(16),
    /** The half of the input key that authenticates, not the one that decrypts. */
    signing_key: base64url(16),
  }),
  v.strictObject({
    door: v.literal('plain'),
    revealed: revealedSchema,
    salt: base64url(32),
    session: hex(16),
  }),
])
export type Opened = v.InferOutput<typeof openedSchema>

/** relay → embassy, `commit`. */
export const commitSchema = v.strictObject({
  output_bytes: integer(),
  output_sha256: digest,
  status: integer(100, 599),
})
export type Commit = v.InferOutput<typeof commitSchema>
export const committedSchema = v.strictObject({ receipt })

/** workload → embassy, `unseal`, over its own link: SHA-256 of the bytes of its answer's body. */
export const unsealSchema = v.strictObject({ output_sha256: digest })

/** relay → embassy, `abort`. */
export const abortSchema = v.strictObject({
  output_bytes: integer(),
  reason: v.picklist(ABORT_REASONS),
})
export type Abort = v.InferOutput<typeof abortSchema>
export const abortedSchema = v.strictObject({ receipt: v.exactOptional(receipt) })

/** What is said of a workload wherever it is listed. */
export const listedWorkload = {
  endpoints: v.array(text(64)),
  models: v.array(text(128)),
  name,
  replicas_ready: integer(),
}

/** gateway → embassy, `GET /status`. */
export const statusSchema = v.strictObject({
  ready: v.boolean(),
  /** Why not, where it is not ready. */
  reason: text(512),
  workloads: v.array(v.strictObject(listedWorkload)),
})
export type Status = v.InferOutput<typeof statusSchema>

/** gateway → relay, `request`: what is asked; `body` follows, the envelope or an ordinary request's. */
export const relayRequestSchema = v.variant('door', [
  v.strictObject({ caller: text(64), door: v.literal('envelope') }),
  v.strictObject({
    caller: text(64),
    content_type: text(256),
    door: v.literal('plain'),
    endpoint: text(64),
    nonce: v.exactOptional(base64url(64)),
    /** Whether an event stream was asked for. */
    stream: v.boolean(),
    workload: name,
  }),
])
export type RelayRequest = v.InferOutput<typeof relayRequestSchema>

/** relay → gateway, `head` of the envelope door: what follows is the encrypted answer. */
export const sealedHeadSchema = v.strictObject({ session: hex(16) })

/** relay → gateway, `head` of the plain door; the receipt is in `final`. */
export const plainHeadSchema = v.strictObject({
  content_type: text(256),
  /** 32 bytes. */
  salt: v.pipe(base64url(32), v.length(43)),
  session: hex(16),
  status: integer(100, 599),
  /** Whether what follows comes while the workload makes it, before anything is committed. */
  stream: v.boolean(),
})
export type PlainHead = v.InferOutput<typeof plainHeadSchema>

/** The members of `head` frames: the workload's status and the headers that are passed on. */
export const headFrameSchema = v.strictObject({
  content_type: text(256),
  status: integer(100, 599),
})
export type HeadFrame = v.InferOutput<typeof headFrameSchema>

/** The members of `final` frames. */
export const finalFrameSchema = v.strictObject({
  /** What ended a streamed answer after its head: the answer is then not whole, whatever its data say. */
  error: v.exactOptional(
    v.strictObject({
      code: v.picklist(codes),
      message: text(2048),
      param: v.exactOptional(text(256)),
    }),
  ),
  /** SHA-256 of the output's bytes. */
  output_digest: v.exactOptional(digest),
  receipt: v.exactOptional(receipt),
})
export type FinalFrame = v.InferOutput<typeof finalFrameSchema>

export const parseRpc = <S extends v.GenericSchema>(schema: S, value: unknown, what: string) =>
  check(schema, value, what, 'request.invalid')
