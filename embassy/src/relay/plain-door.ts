// The plain door: an ordinary request that the gateway saw in clear. The answer is held until it is committed, then
// given with its receipt and the salt under which its contents were digested.
import { createHash, randomBytes } from 'node:crypto'
import {
  fromRpcError,
  RPC_ERROR_TYPE,
  RPC_HEADERS,
  SealedError,
  toRpcError,
} from '@sealed/protocol'
import { runSession, type SessionDeps } from './run-session.ts'

export interface PlainRequest {
  caller: string
  workload: string
  endpoint: string
  nonce: string | undefined
  contentType: string
  body: Uint8Array
}

/** Answers one plain request: the workload's status and bytes, receipt and salt in headers. */
export async function plainDoor(
  deps: SessionDeps,
  request: PlainRequest,
  signal: AbortSignal,
): Promise<Response> {
  const { caller, workload, endpoint, nonce, contentType, body } = request
  const session = randomBytes(16).toString('hex')
  let salt = ''
  const reveal = async () => {
    const opened = await deps.embassy.open({
      caller,
      door: 'plain',
      endpoint,
      input_sha256: createHash('sha256').update(body).digest('hex'),
      ...(nonce !== undefined && { nonce }),
      session,
      workload,
    })
    if (opened.door !== 'plain')
      throw new SealedError('internal.error', 'the embassy opened another door')
    salt = opened.salt
    return opened.revealed
  }
  try {
    const outcome = await runSession(deps, session, reveal, contentType, async () => body, signal)
    if (outcome.kind !== 'answer')
      throw new SealedError('internal.error', 'a plain request cannot read')
    const { answer, receipt } = outcome
    return new Response(answer.body as Uint8Array<ArrayBuffer>, {
      status: answer.status,
      headers: {
        'content-type': answer.contentType,
        [RPC_HEADERS.receiptId]: session,
        [RPC_HEADERS.receipt]: receipt,
        [RPC_HEADERS.salt]: salt,
      },
    })
  } catch (error) {
    if (fromRpcError(toRpcError(error)).session === undefined) throw error
    return Response.json(toRpcError(error), {
      status: 424,
      headers: { 'content-type': RPC_ERROR_TYPE },
    })
  }
}
