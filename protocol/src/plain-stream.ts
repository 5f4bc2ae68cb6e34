// How the relay hands a streamed answer of the plain door to the gateway, on their own socket: frames of one type byte,
// a big-endian length and so many bytes. `head` first, `data` as it comes, one `final` or `failed` last; an end without
// either is an answer that was cut.
import { type Bytes, concat, u32be } from './bytes.ts'
import { SealedError } from './errors.ts'

const TYPES = ['head', 'data', 'final', 'failed'] as const
export type PlainFrameType = (typeof TYPES)[number]
export interface PlainFrame {
  type: PlainFrameType
  bytes: Bytes
}

const HEADER_BYTES = 5
const MAX_FRAME_BYTES = 1024 * 1024

export const encodePlainFrame = (type: PlainFrameType, bytes: Uint8Array): Bytes =>
  concat(Uint8Array.of(TYPES.indexOf(type)), u32be(bytes.length), bytes)

/** Reads frames from pieces of any size; throws `session.aborted` where they are none. */
export class PlainFrameReader {
  #rest: Bytes = new Uint8Array(0)

  push(chunk: Uint8Array): PlainFrame[] {
    const bytes = this.#rest.length > 0 ? concat(this.#rest, chunk) : (chunk as Bytes)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const frames: PlainFrame[] = []
    let at = 0
    while (bytes.length - at >= HEADER_BYTES) {
      const type = TYPES[bytes[at]!]
      const length = view.getUint32(at + 1)
      if (type === undefined || length > MAX_FRAME_BYTES)
        throw new SealedError(
          'session.aborted',
          'the relay handed over something that is no answer',
        )
      const end = at + HEADER_BYTES + length
      if (end > bytes.length) break
      frames.push({ type, bytes: bytes.subarray(at + HEADER_BYTES, end) })
      at = end
    }
    this.#rest = bytes.subarray(at)
    return frames
  }
}
