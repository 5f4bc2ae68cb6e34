// Reads one sealed answer to its end: head, data, final. An answer that is cut, reordered, too long or at odds with
// its own final frame is an error, never a shorter answer.
import {
  type Bytes,
  check,
  concat,
  type FinalFrame,
  finalFrameSchema,
  fromUtf8,
  type HeadFrame,
  headFrameSchema,
  parseStrict,
  type ResponseContext,
  readResponse,
  SealedError,
  sha256Hex,
} from '@sealed/protocol'
import { chunks } from './gateway.ts'

/** The frames' contents; nothing in it has been compared with a receipt yet. */
export interface Opened {
  head: HeadFrame
  output: Bytes
  final: FinalFrame
}

export interface ReadOptions {
  maxOutputBytes: number
  signal?: AbortSignal | undefined
  onHead: (head: HeadFrame) => void
  onData: (bytes: Bytes) => void
}

/** Throws `response.invalid`, `response.truncated` or `response.digest_mismatch`. */
export async function readAnswer(
  context: ResponseContext,
  body: ReadableStream<Uint8Array> | null,
  options: ReadOptions,
): Promise<Opened> {
  let head: HeadFrame | undefined
  const parts: Bytes[] = []
  let length = 0
  const source = chunks(body, options.signal, brokeOff)
  for await (const { type, plaintext } of readResponse(context, source)) {
    if (type === 'head') {
      head = parseFrame(headFrameSchema, plaintext, 'head')
      options.onHead(head)
    } else if (type === 'data') {
      length += plaintext.length
      if (length > options.maxOutputBytes)
        throw new SealedError(
          'response.invalid',
          `sealed answer: more than ${options.maxOutputBytes} bytes of output`,
        )
      parts.push(plaintext)
      options.onData(plaintext)
    } else if (type === 'final' && head) {
      const final = parseFrame(finalFrameSchema, plaintext, 'final')
      const output = concat(...parts)
      if (final.output_digest !== undefined && final.output_digest !== (await sha256Hex(output)))
        throw new SealedError(
          'response.digest_mismatch',
          'sealed answer: the output is not the one that its final frame names',
        )
      return { head, output, final }
    }
  }
  throw new SealedError('response.truncated', 'sealed answer: no final frame')
}

function parseFrame<S extends Parameters<typeof check>[0]>(
  schema: S,
  plaintext: Bytes,
  what: string,
): ReturnType<typeof check<S>> {
  try {
    return check(schema, parseStrict(fromUtf8(plaintext)), `${what} frame`, 'response.invalid')
  } catch (cause) {
    if (cause instanceof SealedError && cause.code === 'response.invalid') throw cause
    throw new SealedError('response.invalid', `sealed answer: ${what} frame is not JSON`, { cause })
  }
}

const brokeOff = (cause: unknown) =>
  new SealedError(
    'response.truncated',
    'the connection broke before the answer’s final frame; ask again with a new envelope',
    { cause },
  )
