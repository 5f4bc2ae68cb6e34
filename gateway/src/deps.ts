// What the app needs from its surroundings, as small interfaces: a door per runtime brings them. None of them hands the
// gateway a key, and none lets it read an envelope.
import type { Code, EnvelopeHeader, Overview, Status } from '@sealed/protocol'
import type { Context, Hono } from 'hono'
import type { Slots } from './middleware/slots.ts'
import type { Source } from './stream.ts'

/** The embassy's public side. Every call throws a `SealedError`; `embassy.unavailable` when nothing answers. */
export interface EmbassyClient {
  /** Canonical JSON of the attestation; `nonce` is base64url of 16 to 64 bytes. */
  attestation(nonce: string | undefined, signal: AbortSignal): Promise<Uint8Array>
  /** Bytes of the attestation document with this digest (64 hex); undefined when there is none. */
  document(digest: string, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** The receipt of this session (32 hex), base64url; undefined when there is none. */
  receipt(id: string, signal: AbortSignal): Promise<string | undefined>
  /** C2SP tlog-proof of this session's leaf; undefined when there is no such receipt. */
  proof(id: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Part of a log: `checkpoint`, `boot` or a tile's path, of the log of this boot (`current`) or of the one with this
   * origin (16 hex); undefined when there is none.
   */
  log(origin: string, resource: string, signal: AbortSignal): Promise<Uint8Array | undefined>
  status(): Promise<Status>
  /** For people; asked for each time. */
  overview(signal: AbortSignal): Promise<Overview>
}

export interface PlainCall {
  caller: string
  workload: string
  /** Path on the workload. */
  endpoint: string
  /** Passed on unchanged. */
  body: Uint8Array
  contentType: string
  /** Whether an event stream was asked for. */
  stream: boolean
  /** The client's own, base64url; absent when it sent none. */
  nonce?: string
  signal: AbortSignal
}

export interface PlainAnswer {
  /** What the workload said, as it said it. */
  status: number
  contentType: string
  body: Uint8Array
  /** 32 hex. */
  receiptId: string
  /** Both base64url. */
  salt: string
  receipt: string
}

/** An event stream of the workload under way; what its head said is known, its receipt is not. */
export interface PlainStream {
  contentType: string
  receiptId: string
  salt: string
  /**
   * The workload's bytes as they come, then the receipt. Throws a `SealedError` where it is known what failed, anything
   * else where the stream was cut; ends without a receipt never.
   */
  pieces: Pick<
    AsyncGenerator<{ data: Uint8Array } | { receipt: string }, void, void>,
    'next' | 'return'
  >
}

/** What a gateway behind this one needs to judge a request itself; the relay has no use for it. */
export interface PassedOn {
  /** As it was sent. */
  authorization?: string
  requestId: string
}

/** A sealed answer under way: the receipt's id is known before anything is revealed. */
export interface SealedAnswer {
  receiptId: string
  /** Errors when it is cut. */
  body: Source
  /** Further headers for the client. */
  headers?: Record<string, string>
}

/**
 * The relay, which does the sessions. A call throws a `SessionFailure`, with the receipt where a session was ended by
 * the failure; once its signal is aborted the relay's request is given up at once.
 */
export interface RelayClient {
  /** Sends the envelope's bytes as received. */
  sealed(call: {
    caller: string
    envelope: Uint8Array
    /** What stands in it for everyone to read. */
    header: EnvelopeHeader
    from: PassedOn
    signal: AbortSignal
  }): Promise<SealedAnswer>
  /**
   * A session of the plain door: resolves once the workload's answer is committed and has its receipt, or at the head of
   * an event stream that was asked for.
   */
  plain(call: PlainCall): Promise<PlainAnswer | PlainStream>
}

/** One API key: what it hashes to, the name under which its holder appears in statements, limits of its own. */
export interface ApiKey {
  /** SHA-256 of the key's text, hex. */
  digest: string
  name: string
  concurrentRequests?: number
  requestsPerMinute?: number
}

export interface GatewayLimits {
  /** Bytes of a plain request's body. */
  bodyBytes: number
  /** Requests under way at once: of one caller, and of all. */
  callerRequests: number
  totalRequests: number
  /** Of one API key in a minute, where it has no limit of its own. */
  requestsPerMinute: number
}

/** Whose certificate is served: the embassy's, which only attested clients can judge, or a public one, or an old one. */
export type CertificateState = 'embassy' | 'acme' | 'expired'

export interface Deps {
  embassy: EmbassyClient
  relay: RelayClient
  /**
   * The keys as they are now: the same array until they change; an empty one admits nobody. Absent means that nobody is
   * asked for a key, and a door must then not be reachable from outside.
   */
  apiKeys?: () => readonly ApiKey[]
  limits: GatewayLimits
  /** Where a public certificate is asked for: what is served now. */
  certificate?: () => CertificateState
  /** Given where somebody else looks at how many are used. */
  slots?: Slots
  /** Origins of web pages that may call; none by default. */
  corsOrigins?: readonly string[]
  /** Milliseconds since 1970. */
  clock?: () => number
  /** The request's body, where a runtime has a better way to it than the Request. */
  bodyOf?: (c: Context) => AsyncIterable<Uint8Array> | null
  /** An answer's body, where a runtime has a cheaper way than a web stream. */
  streamOf?: (source: Source) => ReadableStream<Uint8Array>
  /** Ends the client's connection, where a runtime may otherwise end a broken stream as if it were whole. */
  cutOff?: (c: Context) => void
  /** Gates and routes of a door's own: after the middleware, before the app's routes. */
  own?: (app: Hono<AppEnv>) => void
  /** Told of failures that nobody foresaw; must not write the error's message anywhere, it may quote a body. */
  report?: (error: unknown, requestId: string) => void
  /** Told of each request, after its answer. */
  record?: (request: RequestRecord) => void
  /** Calls `done` when the answer has left, where a runtime can tell. */
  whenSent?: (c: Context, done: (sent: Sent) => void) => void
}

/** What is known of an answer once it has left. */
export interface Sent {
  status: number
  /** Of its body. */
  bytesOut: number
  /** False when the connection ended first. */
  isWhole: boolean
  /** The session's id, where there was one. */
  session?: string
}

/** One request, for log and metrics. Holds nothing of its contents. */
export interface RequestRecord extends Sent {
  requestId: string
  traceId?: string
  parentId?: string
  method: string
  /** Pattern of the route that answered, of a fixed set. */
  route: string
  code?: Code
  /** Name of the API key. */
  caller?: string
  bytesIn: number
  ms: number
}

/** What middleware leaves for routes. */
export interface AppEnv {
  Variables: {
    requestId: string
    caller: string
    /** Where keys are asked for. */
    apiKey: ApiKey | undefined
    /** Of the error that was answered. */
    code: Code | undefined
    /** How much of a body was read. */
    bodyBytes: number | undefined
    /** Set once the relay may have the request: from then on a failure may come after a reveal. */
    sent: boolean
    /** Keeps the caller's slot until the returned function is called. */
    holdSlot: () => () => void
  }
}

/** Who calls where no key is asked for. */
export const ANONYMOUS = 'anonymous'
