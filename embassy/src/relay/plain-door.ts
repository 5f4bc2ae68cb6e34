// The plain door: an ordinary request that the gateway saw in clear. The answer is held until it is committed, then
// given with its receipt and the salt under which its contents were digested; an event stream that was asked for is
// handed on as it comes, in frames, and its receipt last.
import { createHash, randomBytes } from 'node:crypto'
import {
  canonicalBytes,
  encodePlainFrame,
  encryptToken,
  fromBase64url,
  fromRpcError,
  type OpenRequest,
  PLAIN_STREAM_TYPE,
  type PlainFrameType,
  RPC_ERROR_TYPE,
  RPC_HEADERS,
  SealedError,
  toRpcError,
  utf8,
} from '@sealed/protocol'
import { Outgoing } from './outgoing.ts'
import { type Outcome, runSession, type SessionDeps } from './run-session.ts'
import type { Taker, WorkloadHead } from './workload-client.ts'

export interface PlainRequest {
  caller: string
  workload: string
  endpoint: string
  nonce: string | undefined
  contentType: string
  stream: boolean
  body: Uint8Array
}

/** Answers one plain request: the workload's status and bytes, receipt and salt in headers; or frames of a stream. */
export async function plainDoor(
  deps: SessionDeps,
  request: PlainRequest,
  signal: AbortSignal,
): Promise<Response> {
  const { contentType, stream, body } = request
  const session = randomBytes(16).toString('hex')
  const gone = new AbortController()
  signal.addEventListener('abort', () => gone.abort(signal.reason), { once: true })
  const begun = Promise.withResolvers<Response>()
  const frames = new Outgoing(() =>
    gone.abort(new SealedError('session.aborted', 'the client left')),
  )
  const write = (type: PlainFrameType, content: Uint8Array) =>
    frames.write(encodePlainFrame(type, content))
  let salt = ''
  let streaming = false
  const reveal = async () => {
    const opened = await deps.embassy.open(openingOf(request, session))
    if (opened.door !== 'plain')
      throw new SealedError('internal.error', 'the embassy opened another door')
    salt = opened.salt
    return opened.revealed
  }
  const taker: Taker = (head) => {
    if (!isEventStream(head)) return undefined
    streaming = true
    write(
      'head',
      canonicalBytes({ content_type: head.contentType, salt, session, status: head.status }),
    )
    begun.resolve(new Response(frames.readable, { headers: { 'content-type': PLAIN_STREAM_TYPE } }))
    return (bytes) => write('data', bytes)
  }
  void runSession(deps, {
    session,
    reveal,
    input: async ({ cooperative }) =>
      cooperative ? utf8(await encryptToken(fromBase64url(cooperative.input_key!), body)) : body,
    contentType,
    stream,
    ...(stream && { taker }),
    signal: gone.signal,
  })
    .then((outcome) => {
      if (outcome.kind !== 'answer')
        throw new SealedError('internal.error', 'a plain request cannot read')
      if (streaming) write('final', utf8(outcome.receipt))
      else begun.resolve(whole(outcome, session, salt))
    })
    .catch((error: unknown) => {
      if (streaming) write('failed', utf8(JSON.stringify(toRpcError(error))))
      else if (fromRpcError(toRpcError(error)).session === undefined) begun.reject(error)
      else begun.resolve(failed(error))
    })
    .finally(() => frames.end())
  return begun.promise
}

const openingOf = (request: PlainRequest, session: string): OpenRequest => ({
  caller: request.caller,
  door: 'plain',
  endpoint: request.endpoint,
  input_bytes: request.body.length,
  input_sha256: createHash('sha256').update(request.body).digest('hex'),
  ...(request.nonce !== undefined && { nonce: request.nonce }),
  session,
  workload: request.workload,
})

const isEventStream = ({ status, contentType }: WorkloadHead): boolean =>
  status === 200 && /^text\/event-stream *(?:;|$)/i.test(contentType)

const whole = (
  { answer, receipt }: Extract<Outcome, { kind: 'answer' }>,
  session: string,
  salt: string,
): Response =>
  new Response(answer.body as Uint8Array<ArrayBuffer>, {
    status: answer.status,
    headers: {
      'content-type': answer.contentType,
      [RPC_HEADERS.receiptId]: session,
      [RPC_HEADERS.receipt]: receipt,
      [RPC_HEADERS.salt]: salt,
    },
  })

const failed = (error: unknown): Response =>
  Response.json(toRpcError(error), { status: 424, headers: { 'content-type': RPC_ERROR_TYPE } })
