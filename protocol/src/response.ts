// The sealed answer (SPEC.md, "Sealed response"): AES-256-GCM frames under a key of this one session, so that a cut,
// reordered, reflected or spliced stream is always an error and never a shorter answer.
import { type Bytes, concat, readU32be, utf8, writeU32be } from './bytes.ts'
import { SealedError } from './errors.ts'
import { type Aead, aesGcm, hkdfSha256 } from './primitives.ts'

export const RESPONSE_TYPE = 'application/vnd.sealed-response'
/** Bound of one frame's ciphertext. */
export const MAX_FRAME_BYTES = 1024 * 1024
export const SERVER_RANDOM_BYTES = 32
const TAG = 16
/** u32 length of the ciphertext, u8 type. */
const HEAD_BYTES = 5
/** The most plaintext that one frame carries. */
export const MAX_FRAME_PLAINTEXT = MAX_FRAME_BYTES - TAG

export const FRAME_TYPES = ['head', 'data', 'beat', 'final'] as const
export type FrameType = (typeof FRAME_TYPES)[number]
export interface Frame {
  type: FrameType
  plaintext: Bytes
}

async function frameCipher(context: ResponseContext, serverRandom: Uint8Array): Promise<Aead> {
  const info = concat(utf8('sealed/response/v1'), serverRandom)
  return aesGcm(await hkdfSha256(context.responseSecret, context.headerDigest, info))
}

/** The per-session salt under which contents are digested in statements; client and embassy derive it alike. */
export const sessionSalt = (context: ResponseContext): Promise<Bytes> =>
  hkdfSha256(context.responseSecret, context.headerDigest, utf8('sealed/salt/v1'))

export interface ResponseContext {
  responseSecret: Uint8Array
  headerDigest: Uint8Array
}

/** The nonce of a frame, its number; and what it is bound to. */
const boundTo = (context: ResponseContext, number: number, type: number): [Bytes, Bytes] => {
  const iv = new Uint8Array(12)
  writeU32be(iv, 8, number)
  const associated = new Uint8Array(context.headerDigest.length + 1)
  associated.set(context.headerDigest)
  associated[context.headerDigest.length] = type
  return [iv, associated]
}

/** Writes frames in order. The caller sends `serverRandom` first, then each returned frame. */
export class ResponseWriter {
  readonly serverRandom: Bytes
  readonly #context: ResponseContext
  readonly #cipher: Promise<Aead>
  #number = 0

  constructor(
    context: ResponseContext,
    serverRandom: Bytes = crypto.getRandomValues(new Uint8Array(SERVER_RANDOM_BYTES)),
  ) {
    this.serverRandom = serverRandom
    this.#context = context
    this.#cipher = frameCipher(context, serverRandom)
  }

  /** One frame: u32 length of the ciphertext, u8 type, ciphertext with tag. */
  async frame(type: FrameType, plaintext: Uint8Array): Promise<Bytes> {
    if (plaintext.length > MAX_FRAME_PLAINTEXT)
      throw new SealedError(
        'response.invalid',
        `a frame carries at most ${MAX_FRAME_PLAINTEXT} bytes`,
      )
    const code = FRAME_TYPES.indexOf(type)
    const bound = boundTo(this.#context, this.#number++, code)
    const head = new Uint8Array(HEAD_BYTES)
    writeU32be(head, 0, plaintext.length + TAG)
    head[4] = code
    return (await this.#cipher).encrypt(...bound, plaintext, head)
  }
}

/**
 * Reads a sealed answer. Yields every frame but beats; throws `response.invalid` on anything that does not
 * authenticate in order, `response.truncated` when the stream ends without its final frame, and refuses bytes after it.
 * The stream is let go in every case, so that who sends more than it should is not listened to.
 */
export async function* readResponse(
  context: ResponseContext,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Frame, void, void> {
  const source = new ByteReader(body)
  try {
    const cipher = await frameCipher(context, await source.take(SERVER_RANDOM_BYTES))
    for (let number = 0, started = false; ; number++) {
      const head = source.ready(HEAD_BYTES) ?? (await source.take(HEAD_BYTES))
      const length = readU32be(head, 0)
      const type = FRAME_TYPES[head[4]!]
      if (length < TAG || length > MAX_FRAME_BYTES || !type) throw broken('malformed frame')
      const ciphertext = source.ready(length) ?? (await source.take(length))
      let plaintext: Bytes
      try {
        plaintext = await cipher.decrypt(...boundTo(context, number, head[4]!), ciphertext)
      } catch {
        throw broken('a frame does not authenticate')
      }
      if (type === 'beat') continue
      if (type === 'head' ? started : !started) throw broken(`frame ${type} out of order`)
      started = true
      if (type === 'final' && !(await source.ended())) throw broken('bytes after the final frame')
      yield { type, plaintext }
      if (type === 'final') return
    }
  } finally {
    await source.release()
  }
}

const broken = (message: string) => new SealedError('response.invalid', `sealed answer: ${message}`)
const truncated = () =>
  new SealedError(
    'response.truncated',
    'the sealed answer ended before its final frame; ask again with a new envelope',
  )

class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>
  #buffer: Uint8Array = new Uint8Array(0)

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Exactly `size` bytes, if they lie ready: most frames come whole. */
  ready(size: number): Bytes | undefined {
    if (this.#buffer.length < size) return undefined
    const part = this.#buffer.subarray(0, size)
    this.#buffer = this.#buffer.subarray(size)
    return concat(part)
  }

  /** Exactly `size` bytes; throws `response.truncated` at the end of the stream. */
  async take(size: number): Promise<Bytes> {
    const parts: Uint8Array[] = []
    for (let missing = size; missing > 0; ) {
      if (this.#buffer.length === 0 && !(await this.#fill())) throw truncated()
      const part = this.#buffer.subarray(0, missing)
      this.#buffer = this.#buffer.subarray(part.length)
      parts.push(part)
      missing -= part.length
    }
    return concat(...parts)
  }

  async ended(): Promise<boolean> {
    return this.#buffer.length === 0 && !(await this.#fill())
  }

  async release(): Promise<void> {
    await this.#source.return?.()
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next()
      if (done) return false
      if (value.length === 0) continue
      this.#buffer = value
      return true
    }
  }
}
