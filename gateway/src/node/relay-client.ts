// The relay over its socket. The hard case is a relay that dies: where the request may have reached it, a key may have
// been revealed, and the answer is one that no SDK takes as an invitation to send again.
import type { Readable } from 'node:stream'
import {
  fromRpcError,
  fromUtf8,
  MAX_RECEIPT_CHARS,
  PLAIN_STREAM_TYPE,
  type PlainFrame,
  PlainFrameReader,
  parseRpc,
  parseStrict,
  plainHeadSchema,
  RELAY_PATHS,
  RESPONSE_TYPE,
  RPC_ERROR_TYPE,
  RPC_HEADERS,
  SealedError,
} from '@sealed/protocol'
import type { PlainAnswer, PlainStream, RelayClient } from '../deps.ts'
import { readRpcError } from './embassy-client.ts'
import { readAll, type UnixAnswer, type UnixClient, UnixFailure } from './unix-client.ts'
import { webStream } from './web-stream.ts'

const RECEIPT_ID = /^[0-9a-f]{32}$/

/** `outputBytes` bounds a workload's buffered answer. */
export function relayClient(unix: UnixClient, outputBytes: number): RelayClient {
  return {
    async sealed({ caller, envelope, signal }) {
      return told(async () => {
        const answer = await unix.request({
          method: 'POST',
          path: RELAY_PATHS.sealed,
          headers: { [RPC_HEADERS.caller]: caller },
          body: envelope,
          signal,
        })
        const receiptId = answer.header(RPC_HEADERS.receiptId) ?? ''
        const sealed = answer.status === 200 && answer.header('content-type') === RESPONSE_TYPE
        if (sealed && RECEIPT_ID.test(receiptId)) return { receiptId, body: webStream(answer.body) }
        throw await readRpcError(answer, signal)
      })
    },
    async plain({ caller, workload, endpoint, body, contentType, nonce, stream, signal }) {
      return told(async () => {
        const answer = await unix.request({
          method: 'POST',
          path: RELAY_PATHS.plain,
          headers: {
            [RPC_HEADERS.caller]: caller,
            [RPC_HEADERS.workload]: workload,
            [RPC_HEADERS.endpoint]: endpoint,
            ...(nonce !== undefined && { [RPC_HEADERS.nonce]: nonce }),
            ...(stream && { [RPC_HEADERS.stream]: 'true' }),
            'content-type': contentType,
          },
          body,
          signal,
        })
        if (isRelayError(answer)) throw await readRpcError(answer, signal)
        if (isStream(answer)) return await readStream(answer.body)
        return readPlain(answer, await readAll(answer.body, outputBytes, signal))
      })
    },
  }
}

/** The type alone would let a workload speak as the relay; an answer that a workload wrote always has a receipt. */
const isRelays = (answer: UnixAnswer, type: string) =>
  answer.header('content-type') === type && !answer.has(RPC_HEADERS.receipt)
const isRelayError = (answer: UnixAnswer) => isRelays(answer, RPC_ERROR_TYPE)
const isStream = (answer: UnixAnswer) =>
  answer.status === 200 && isRelays(answer, PLAIN_STREAM_TYPE)

async function readStream(body: Readable): Promise<PlainStream> {
  const frames = framesOf(body)
  const first = await frames.next()
  if (first.done || first.value.type !== 'head') throw cut()
  const { content_type, salt, session } = parseRpc(
    plainHeadSchema,
    parseStrict(fromUtf8(first.value.bytes)),
    'head of a stream',
  )
  return { contentType: content_type, receiptId: session, salt, pieces: piecesOf(frames) }
}

async function* piecesOf(frames: AsyncGenerator<PlainFrame, void, void>): PlainStream['pieces'] {
  for await (const { type, bytes } of frames) {
    if (type === 'data') yield { data: bytes }
    else if (type === 'failed') throw fromRpcError(parseStrict(fromUtf8(bytes)))
    else if (type === 'final') return yield { receipt: fromUtf8(bytes) }
    else throw cut()
  }
  throw cut()
}

async function* framesOf(body: Readable): AsyncGenerator<PlainFrame, void, void> {
  const reader = new PlainFrameReader()
  for await (const chunk of body as AsyncIterable<Uint8Array>) yield* reader.push(chunk)
}

const cut = () =>
  new SealedError(
    'session.aborted',
    'the relay broke off its answer; its receipt will say how it ended',
  )

function readPlain(answer: UnixAnswer, body: Uint8Array): PlainAnswer {
  const receiptId = answer.header(RPC_HEADERS.receiptId) ?? ''
  const salt = answer.header(RPC_HEADERS.salt) ?? ''
  const receipt = answer.header(RPC_HEADERS.receipt) ?? ''
  const receipted =
    RECEIPT_ID.test(receiptId) &&
    /^[A-Za-z0-9_-]{43}$/.test(salt) &&
    /^[A-Za-z0-9_-]+$/.test(receipt) &&
    receipt.length <= MAX_RECEIPT_CHARS
  if (!receipted)
    throw new SealedError(
      'session.aborted',
      'the answer came without its receipt and is withheld; do not send the request again unseen',
    )
  const contentType = answer.header('content-type') ?? 'application/octet-stream'
  return { status: answer.status, contentType, body, receiptId, salt, receipt }
}

async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof UnixFailure)) throw error
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
