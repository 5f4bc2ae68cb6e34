// The envelope door: authenticates the input with half a key, answers at once and keeps the client through the seal,
// decrypts when the rest of the key is revealed, and encrypts what comes back. Nothing of a plaintext leaves here.
import {
  type AuthenticToken,
  authenticateToken,
  canonicalBytes,
  decryptAuthentic,
  type FrameType,
  fromBase64url,
  ISSUED_WINDOW_MS,
  MAX_FRAME_PLAINTEXT,
  parseEnvelope,
  RESPONSE_TYPE,
  ResponseWriter,
  RPC_HEADERS,
  type RpcError,
  SealedError,
  sha256Hex,
  toHex,
  toRpcError,
  utf8,
} from '@sealed/protocol'
import { type Outcome, runSession, type SessionDeps } from './run-session.ts'

const BEAT_MS = 5_000
const SLOW_READER_MS = 120_000
const EMPTY = new Uint8Array(0)

/** Answers one envelope. Refusals before the reveal throw; later ones are inside the encrypted answer. */
export async function sealedDoor(
  deps: SessionDeps,
  caller: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Response> {
  const parsed = await parseEnvelope(body)
  const { envelope, headerDigest } = parsed
  const opened = await deps.embassy.open({
    caller,
    door: 'envelope',
    header: envelope.header,
    input_digest: await sha256Hex(utf8(envelope.input)),
    instructions: envelope.instructions,
    keys: envelope.keys,
  })
  if (opened.door !== 'envelope')
    throw new SealedError('internal.error', 'the embassy opened another door')
  const { session } = opened
  let token: AuthenticToken
  try {
    token = await authenticateToken(fromBase64url(opened.signing_key), envelope.input, {
      ttlSeconds: ISSUED_WINDOW_MS / 1000,
    })
  } catch (error) {
    await deps.embassy.abort(session, { output_bytes: 0, reason: 'internal.error' })
    throw error
  }
  const context = { responseSecret: fromBase64url(opened.response_secret), headerDigest }
  const writer = new FrameStream(new ResponseWriter(context))
  const gone = new AbortController()
  signal.addEventListener('abort', () => gone.abort(signal.reason), { once: true })
  const decrypt = (key: string | undefined) => decryptAuthentic(fromBase64url(key ?? ''), token)
  void (async () => {
    try {
      await writer.frame('beat', EMPTY)
      const outcome = await runSession(
        deps,
        session,
        () => deps.embassy.reveal(session),
        'application/json',
        decrypt,
        gone.signal,
      )
      await writeOutcome(writer, outcome)
    } catch (error) {
      await writeFailure(writer, toRpcError(error))
    } finally {
      writer.end()
    }
  })()
  return new Response(
    writer.readable(() => gone.abort(new SealedError('session.aborted', 'the client left'))),
    {
      headers: { 'content-type': RESPONSE_TYPE, [RPC_HEADERS.receiptId]: session },
    },
  )
}

async function writeOutcome(writer: FrameStream, outcome: Outcome): Promise<void> {
  if (outcome.kind === 'reading') {
    await writeAnswer(writer, 200, 'application/json', utf8(outcome.reading))
    return writer.frame('final', canonicalBytes({ receipt: outcome.receipt }))
  }
  const { answer, receipt, sha256 } = outcome
  await writeAnswer(writer, answer.status, answer.contentType, answer.body)
  await writer.frame('final', canonicalBytes({ output_digest: toHex(sha256), receipt }))
}

async function writeFailure(writer: FrameStream, { error }: RpcError): Promise<void> {
  const { receipt, session: _, ...rest } = error
  await writeAnswer(writer, 424, 'application/json', utf8(JSON.stringify({ error: rest })))
  await writer.frame('final', canonicalBytes(receipt === undefined ? {} : { receipt }))
}

async function writeAnswer(
  writer: FrameStream,
  status: number,
  contentType: string,
  body: Uint8Array,
): Promise<void> {
  await writer.frame('head', canonicalBytes({ content_type: contentType, status }))
  for (let at = 0; at < body.length; at += MAX_FRAME_PLAINTEXT)
    await writer.frame('data', body.subarray(at, at + MAX_FRAME_PLAINTEXT))
}

/** Frames in order, with a heartbeat whenever nothing else was sent for a while. */
class FrameStream {
  readonly #writer: ResponseWriter
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #ready: Promise<void> = Promise.resolve()
  #ended = false
  #drained: (() => void) | undefined
  readonly #beat: NodeJS.Timeout

  constructor(writer: ResponseWriter) {
    this.#writer = writer
    this.#beat = setInterval(() => void this.frame('beat', EMPTY), BEAT_MS)
  }

  readable(onCancel: () => void): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
        controller.enqueue(this.#writer.serverRandom)
      },
      pull: () => this.#drained?.(),
      cancel: () => {
        this.#stop()
        onCancel()
      },
    })
  }

  /** Writes one frame after those before it; waits while the client does not read. */
  frame(type: FrameType, plaintext: Uint8Array): Promise<void> {
    this.#ready = this.#ready.then(async () => {
      if (this.#ended) return
      const bytes = await this.#writer.frame(type, plaintext)
      if (this.#ended) return
      this.#controller?.enqueue(bytes)
      if ((this.#controller?.desiredSize ?? 1) <= 0 && type !== 'beat') await this.#reader()
    })
    return this.#ready
  }

  /** Waits until the client reads on; one that does not for too long is cut off. */
  #reader(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#stop()
        this.#controller?.error(new SealedError('session.aborted', 'the client stopped reading'))
      }, SLOW_READER_MS)
      this.#drained = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  end(): void {
    if (this.#ended) return
    this.#stop()
    this.#controller?.close()
  }

  #stop(): void {
    this.#ended = true
    clearInterval(this.#beat)
    this.#drained?.()
  }
}
