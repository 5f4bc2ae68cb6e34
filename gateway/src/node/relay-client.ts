// The relay over its socket. The hard case is a relay that dies: where the request may have reached it, a key may have
// been revealed, and the answer is one that no SDK takes as an invitation to send again.
import {
  check,
  concat,
  fromUtf8,
  MAX_RECEIPT_CHARS,
  type PlainHead,
  parseStrict,
  plainHeadSchema,
  type RelayFrame,
  readRpcError,
  SealedError,
  sealedHeadSchema,
} from '@sealed/protocol'
import type { PlainAnswer, PlainStream, RelayClient } from '../deps.ts'
import type { Source } from '../stream.ts'
import { type RelayAnswer, RelayFailure, type RelaySocket } from './relay-socket.ts'

/** `outputBytes` bounds a workload's buffered answer. */
export function relayClient(relay: RelaySocket, outputBytes: number): RelayClient {
  return {
    sealed: ({ caller, envelope, signal }) =>
      told(async () => {
        const answer = await relay.ask({ caller, door: 'envelope' }, envelope, signal)
        return leaving(answer, async () => {
          const { session } = headOf(sealedHeadSchema, await answer.next())
          return { receiptId: session, body: sourceOf(answer) }
        })
      }),
    plain: ({ caller, workload, endpoint, body, contentType, nonce, stream, signal }) =>
      told(async () => {
        const request = {
          caller,
          content_type: contentType,
          door: 'plain',
          endpoint,
          ...(nonce !== undefined && { nonce }),
          stream,
          workload,
        } as const
        const answer = await relay.ask(request, body, signal)
        return leaving(answer, async () => {
          const head = headOf(plainHeadSchema, await answer.next())
          const { content_type, salt, session } = head
          if (head.stream)
            return { contentType: content_type, receiptId: session, salt, pieces: piecesOf(answer) }
          return readWhole(answer, head, outputBytes)
        })
      }),
  }
}

/** Gives an answer up that cannot be used. */
async function leaving<T>(answer: RelayAnswer, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    answer.leave()
    throw error
  }
}

type HeadSchema = typeof sealedHeadSchema | typeof plainHeadSchema

function headOf<S extends HeadSchema>(schema: S, { type, bytes }: RelayFrame) {
  if (type === 'failed') throw readRpcError(bytes)
  if (type !== 'head') throw withheld()
  return check(schema, parseStrict(fromUtf8(bytes)), 'head of an answer', 'session.aborted')
}

/** Errors when the answer breaks off, never ends early as if it were complete. */
const sourceOf = (answer: RelayAnswer): Source => ({
  async read() {
    const { type, bytes } = await answer.next()
    if (type === 'data') return { done: false, value: bytes }
    if (type !== 'final') throw withheld()
    return { done: true, value: undefined }
  },
  cancel: async () => answer.leave(),
})

function piecesOf(answer: RelayAnswer): PlainStream['pieces'] {
  let over = false
  return {
    async next() {
      if (over) return { done: true, value: undefined }
      const { type, bytes } = await answer.next()
      if (type === 'data') return { done: false, value: { data: bytes } }
      over = true
      if (type === 'final') return { done: false, value: { receipt: receiptOf(bytes) } }
      if (type === 'failed') throw readRpcError(bytes)
      answer.leave()
      throw withheld()
    },
    async return() {
      over = true
      answer.leave()
      return { done: true, value: undefined }
    },
  }
}

async function readWhole(
  answer: RelayAnswer,
  { content_type, salt, session, status }: PlainHead,
  max: number,
): Promise<PlainAnswer> {
  const parts: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { type, bytes } = await answer.next()
    if (type === 'final') {
      const receipt = receiptOf(bytes)
      const body = concat(...parts)
      return { status, contentType: content_type, body, receiptId: session, salt, receipt }
    }
    if (type === 'failed') throw readRpcError(bytes)
    length += bytes.length
    if (type !== 'data' || length > max) throw withheld()
    parts.push(bytes)
  }
}

function receiptOf(bytes: Uint8Array): string {
  const receipt = fromUtf8(bytes)
  if (/^[A-Za-z0-9_-]+$/.test(receipt) && receipt.length <= MAX_RECEIPT_CHARS) return receipt
  throw withheld()
}

const withheld = () =>
  new SealedError(
    'session.aborted',
    'the answer came without its receipt and is withheld; do not send the request again unseen',
  )

async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof RelayFailure)) throw error
    if (error.unsent)
      throw new SealedError(
        'replica.unavailable',
        'the relay does not answer; nothing was sent to it, try again',
        { cause: error },
      )
    throw new SealedError(
      'session.aborted',
      'the relay went away in the middle; whether the workload saw the input, its receipt will say',
      { cause: error },
    )
  }
}
