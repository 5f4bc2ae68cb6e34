// Holds back the line that ends an event stream, `data: [DONE]`, and all that follows it, until the answer was judged:
// a reader that stops there must not take an answer for whole before it is.
import { type Bytes, concat } from '@sealed/protocol'

const MARKERS = ['data: [DONE]', 'data:[DONE]'].map((text) => new TextEncoder().encode(text))
const [LF, CR] = [10, 13]

export class EndMarker {
  #held: Uint8Array[] = []
  #ended = false
  #lineStart = true

  /** What may be shown of the stream with these bytes added to it, in memory of its own. */
  push(bytes: Uint8Array): Bytes {
    if (this.#ended) {
      this.#held.push(bytes)
      return new Uint8Array(0)
    }
    const all = concat(...this.#held, bytes)
    const at = this.#find(all)
    this.#held = at < all.length ? [all.subarray(at)] : []
    if (at > 0) this.#lineStart = isBreak(all[at - 1])
    return all.subarray(0, at)
  }

  /** What was held back. */
  rest(): Bytes {
    const rest = concat(...this.#held)
    this.#held = []
    return rest
  }

  /** Where a marker begins, or what may yet become one; the length where neither is there. */
  #find(all: Uint8Array): number {
    for (let at = 0; at < all.length; at++) {
      const starts = at === 0 ? this.#lineStart : isBreak(all[at - 1])
      const marker = starts && MARKERS.find((one) => agrees(all, at, one))
      if (!marker) continue
      this.#ended = all.length - at >= marker.length
      return at
    }
    return all.length
  }
}

const isBreak = (byte: number | undefined) => byte === LF || byte === CR

function agrees(all: Uint8Array, at: number, marker: Uint8Array): boolean {
  const length = Math.min(marker.length, all.length - at)
  for (let offset = 0; offset < length; offset++)
    if (all[at + offset] !== marker[offset]) return false
  return true
}
