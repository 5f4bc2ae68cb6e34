// The plain door: an ordinary request that the gateway saw in clear. The answer is held until it is committed, then
// given with its receipt and the salt under which its contents were digested; an event stream that was asked for is
// handed on as it comes, and its receipt last.
import { createHash, randomBytes } from 'node:crypto'
import {
  canonicalBytes,
  dataFrames,
  encryptToken,
  fromBase64url,
  type OpenRequest,
  type RelayRequest,
  SealedError,
  utf8,
} from '@sealed/protocol'
import type { Outgoing } from './outgoing.ts'
import { runSession, type SessionDeps } from './run-session.ts'
import type { Taker, WorkloadHead } from './workload-answer.ts'

type PlainRequest = Extract<RelayRequest, { door: 'plain' }>

/** Answers one plain request. What it throws is to be said in the last frame. */
export async function plainDoor(
  deps: SessionDeps,
  request: PlainRequest,
  body: Uint8Array,
  outgoing: Outgoing,
): Promise<void> {
  const session = randomBytes(16).toString('hex')
  let salt = ''
  let streaming = false
  const reveal = async () => {
    const opened = await deps.embassy.open(openingOf(request, body, session))
    if (opened.door !== 'plain')
      throw new SealedError('internal.error', 'the embassy opened another door')
    salt = opened.salt
    return opened.revealed
  }
  const head = ({ status, contentType }: WorkloadHead) =>
    [
      'head',
      canonicalBytes({ content_type: contentType, salt, session, status, stream: streaming }),
    ] as const
  const taker: Taker = (of) => {
    if (!isEventStream(of)) return undefined
    streaming = true
    outgoing.send(head(of))
    return (bytes) => outgoing.send(...dataFrames(bytes))
  }
  const outcome = await runSession(deps, {
    session,
    reveal,
    input: async ({ cooperative }) =>
      cooperative ? utf8(await encryptToken(fromBase64url(cooperative.input_key!), body)) : body,
    contentType: request.content_type,
    stream: request.stream,
    ...(request.stream && { taker }),
    signal: outgoing.signal,
  })
  if (outcome.kind !== 'answer')
    throw new SealedError('internal.error', 'a plain request cannot read')
  const { answer, receipt } = outcome
  const final = ['final', utf8(receipt)] as const
  if (streaming) outgoing.end(final)
  else outgoing.end(head(answer), ...dataFrames(answer.body), final)
}

const openingOf = (request: PlainRequest, body: Uint8Array, session: string): OpenRequest => ({
  caller: request.caller,
  door: 'plain',
  endpoint: request.endpoint,
  input_bytes: body.length,
  input_sha256: createHash('sha256').update(body).digest('hex'),
  ...(request.nonce !== undefined && { nonce: request.nonce }),
  session,
  workload: request.workload,
})

const isEventStream = ({ status, contentType }: WorkloadHead): boolean =>
  status === 200 && /^text\/event-stream *(?:;|$)/i.test(contentType)
