// The envelope door: authenticates the input with half a key, answers at once and keeps the client through the seal,
// decrypts when the rest of the key is revealed, and encrypts what comes back. Nothing of a plaintext leaves here.
import {
  type AuthenticToken,
  authenticateToken,
  canonicalBytes,
  dataFrames,
  decryptAuthentic,
  type FrameType,
  fromBase64url,
  ISSUED_WINDOW_MS,
  MAX_FRAME_PLAINTEXT,
  parseEnvelope,
  ResponseWriter,
  type RpcError,
  SealedError,
  sha256Hex,
  toHex,
  toRpcError,
  utf8,
} from '@sealed/protocol'
import type { Outgoing } from './outgoing.ts'
import { type Outcome, runSession, type SessionDeps } from './run-session.ts'
import type { Taker } from './workload-answer.ts'

const BEAT_MS = 5_000
const EMPTY = new Uint8Array(0)

/** Answers one envelope. Refusals before the reveal throw; later ones are inside the encrypted answer. */
export async function sealedDoor(
  deps: SessionDeps,
  caller: string,
  body: Uint8Array,
  outgoing: Outgoing,
): Promise<void> {
  const parsed = await parseEnvelope(body)
  const { envelope, headerDigest } = parsed
  const opened = await deps.embassy.open({
    caller,
    door: 'envelope',
    header: envelope.header,
    input_bytes: envelope.input.length,
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
  outgoing.send(['head', canonicalBytes({ session })])
  const context = { responseSecret: fromBase64url(opened.response_secret), headerDigest }
  const frames = new FrameStream(new ResponseWriter(context), outgoing)
  const { stream } = parsed.header
  try {
    frames.write('beat', EMPTY)
    const outcome = await runSession(deps, {
      session,
      reveal: () => deps.embassy.reveal(session),
      input: async ({ cooperative, encryption_key = '' }) =>
        cooperative ? utf8(envelope.input) : decryptAuthentic(fromBase64url(encryption_key), token),
      contentType: 'application/json',
      stream,
      ...(stream && { taker: frames.taker }),
      signal: outgoing.signal,
    })
    writeOutcome(frames, outcome)
  } catch (error) {
    writeFailure(frames, toRpcError(error))
  } finally {
    await frames.end()
  }
}

function writeOutcome(frames: FrameStream, outcome: Outcome): void {
  if (outcome.kind === 'reading') {
    writeAnswer(frames, 200, 'application/json', utf8(outcome.reading))
    frames.write('final', canonicalBytes({ receipt: outcome.receipt }))
    return
  }
  const { answer, receipt } = outcome
  if (!frames.begun) writeAnswer(frames, answer.status, answer.contentType, answer.body)
  frames.write('final', canonicalBytes({ output_digest: toHex(answer.sha256), receipt }))
}

/** After the head the failure is in the last frame: an answer that began is an error there, never a shorter one. */
function writeFailure(frames: FrameStream, { error }: RpcError): void {
  const { code, message, param, receipt } = error
  const said = { code, message, ...(param !== undefined && { param }) }
  const streamed = frames.begun
  if (!streamed) writeAnswer(frames, 424, 'application/json', utf8(JSON.stringify({ error: said })))
  frames.write(
    'final',
    canonicalBytes({
      ...(streamed && { error: said }),
      ...(receipt !== undefined && { receipt }),
    }),
  )
}

function writeAnswer(
  frames: FrameStream,
  status: number,
  contentType: string,
  body: Uint8Array,
): void {
  frames.write('head', canonicalBytes({ content_type: contentType, status }))
  frames.data(body)
}

/** Frames in order, encrypted one after the other, with a heartbeat whenever nothing else was sent for a while. */
class FrameStream {
  readonly #writer: ResponseWriter
  readonly #outgoing: Outgoing
  readonly #beat: NodeJS.Timeout
  #ready: Promise<void> = Promise.resolve()
  begun = false

  constructor(writer: ResponseWriter, outgoing: Outgoing) {
    this.#writer = writer
    this.#outgoing = outgoing
    outgoing.send(['data', writer.serverRandom])
    this.#beat = setInterval(() => {
      if (outgoing.drained) this.write('beat', EMPTY)
    }, BEAT_MS)
  }

  /** Sends an answer's head and body as they come. */
  readonly taker: Taker = ({ status, contentType }) => {
    this.begun = true
    this.write('head', canonicalBytes({ content_type: contentType, status }))
    return (bytes) => this.data(bytes)
  }

  data(body: Uint8Array): void {
    for (let at = 0; at < body.length; at += MAX_FRAME_PLAINTEXT)
      this.write('data', body.subarray(at, at + MAX_FRAME_PLAINTEXT))
  }

  write(type: FrameType, plaintext: Uint8Array): void {
    this.#ready = this.#ready.then(async () =>
      this.#outgoing.send(...dataFrames(await this.#writer.frame(type, plaintext))),
    )
  }

  async end(): Promise<void> {
    clearInterval(this.#beat)
    await this.#ready
    this.#outgoing.end(['final', EMPTY])
  }
}
