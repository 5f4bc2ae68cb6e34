// How gateway and relay speak on the relay's socket: frames of one type byte, a big-endian length and so many bytes, one
// request at a time on a connection. The gateway sends `request` and `body`; the relay answers with one `head`, `data` as
// it comes and one `final`, or with `failed` at any place. An end without either is an answer that was cut; a client that
// leaves ends the connection.
import { type Bytes, concat, readU32be, writeU32be } from './bytes.ts'
import { SealedError } from './errors.ts'

const TYPES = ['request', 'body', 'head', 'data', 'final', 'failed'] as const
export type RelayFrameType = (typeof TYPES)[number]
export interface RelayFrame {
  type: RelayFrameType
  bytes: Bytes
}

/** A frame to be sent. */
export type OutFrame = readonly [RelayFrameType, Uint8Array]

const HEADER_BYTES = 5
/** Of every frame but `body`. */
const MAX_FRAME_BYTES = 1024 * 1024
const DATA_BYTES = 64 * 1024

/** Frames that follow each other, as one piece. */
export function encodeRelayFrames(...frames: readonly OutFrame[]): Bytes {
  const out = new Uint8Array(
    frames.reduce((sum, [, bytes]) => sum + HEADER_BYTES + bytes.length, 0),
  )
  let at = 0
  for (const [type, bytes] of frames) {
    out[at] = TYPES.indexOf(type)
    writeU32be(out, at + 1, bytes.length)
    out.set(bytes, at + HEADER_BYTES)
    at += HEADER_BYTES + bytes.length
  }
  return out
}

/** `bytes` as `data` frames: a reader holds no more of an answer than one of them. */
export function* dataFrames(bytes: Uint8Array): Generator<OutFrame> {
  for (let at = 0; at < bytes.length; at += DATA_BYTES)
    yield ['data', bytes.subarray(at, at + DATA_BYTES)]
}

/** Reads frames from pieces of any size; `maxBody` bounds a `body`. Throws `session.aborted` where they are none. */
export class RelayFrameReader {
  readonly #maxBody: number
  #pieces: Uint8Array[] = []
  #have = 0
  /** Bytes without which there is no frame to be read. */
  #need = HEADER_BYTES

  constructor(maxBody = 0) {
    this.#maxBody = maxBody
  }

  push(chunk: Uint8Array): RelayFrame[] {
    this.#pieces.push(chunk)
    this.#have += chunk.length
    if (this.#have < this.#need) return []
    // Joined only once there is a frame in it: a long one comes in many pieces.
    const bytes = this.#pieces.length === 1 ? (chunk as Bytes) : concat(...this.#pieces)
    const frames: RelayFrame[] = []
    let at = 0
    this.#need = HEADER_BYTES
    while (bytes.length - at >= HEADER_BYTES) {
      const { type, length } = this.#header(bytes, at)
      const end = at + HEADER_BYTES + length
      if (end > bytes.length) {
        this.#need = HEADER_BYTES + length
        break
      }
      frames.push({ type, bytes: bytes.subarray(at + HEADER_BYTES, end) })
      at = end
    }
    this.#have = bytes.length - at
    this.#pieces = this.#have > 0 ? [bytes.subarray(at)] : []
    return frames
  }

  #header(bytes: Uint8Array, at: number): { type: RelayFrameType; length: number } {
    const type = TYPES[bytes[at]!]
    const length = readU32be(bytes, at + 1)
    if (type !== undefined && length <= (type === 'body' ? this.#maxBody : MAX_FRAME_BYTES))
      return { type, length }
    throw new SealedError('session.aborted', 'what came on the relay’s socket is no frame')
  }
}
