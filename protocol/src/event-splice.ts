// What a gateway adds to a streamed answer of the plain door, and how it is taken out again (SPEC.md, "Plain door"):
// heartbeats between events, and the receipt at the end. Not a byte of the workload's stream changes. A workload that
// writes what only a gateway may write is refused, so that whatever looks like a receipt is one of ours.
import { type Bytes, concat, utf8 } from './bytes.ts'
import { SealedError } from './errors.ts'

/** A comment of the event stream: says only that somebody is still there. Stands where an event may begin. */
export const HEARTBEAT: Bytes = utf8(': sealed\n\n')

const CHUNK = 'data: {"choices":[],"object":"chat.completion.chunk","receipt":"'
const COMMENT = '\n\n: sealed-receipt '
/** Begins both of our comments. */
const OURS = '\n: sealed'
const DONE = '\ndata: [DONE]'
/** The longest end of a stream, from its end mark on. */
const MAX_END = 32

/** One character a byte, so that an index in the one is an index in the other. */
const decoder = new TextDecoder('windows-1252')
const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

/**
 * Passes an event stream on as it comes, all but its end mark `data: [DONE]`, before which the receipt goes as a chunk
 * without choices. A stream without that mark gets its receipt as a comment after its last byte.
 */
export class EventStapler {
  /** The end of what was passed on; a stream begins like a line. */
  #tail = '\n'
  /** Bytes that are, or may turn out to be, the end mark. */
  #held: Bytes = utf8('')
  #done = false
  #begun = false

  /** Whether an event may begin here, which is where a heartbeat may stand. */
  get between(): boolean {
    return !this.#begun || (this.#held.length === 0 && this.#tail.endsWith('\n\n'))
  }

  /** What can be passed on of the stream so far. Throws `workload.failed`. */
  push(chunk: Uint8Array): Bytes {
    if (chunk.length > 0) this.#begun = true
    const bytes = this.#held.length > 0 ? concat(this.#held, chunk) : (chunk as Bytes)
    const seen = this.#tail + textOf(bytes)
    if (seen.includes(OURS) || seen.includes(CHUNK))
      throw new SealedError(
        'workload.failed',
        'the workload streamed what only a gateway may write: a receipt or a heartbeat',
      )
    const mark = this.#done ? this.#tail.length - 1 : seen.indexOf(DONE)
    this.#done = mark >= 0
    const end = this.#done ? mark + 1 : seen.length - partOfMark(seen)
    const passed = end - this.#tail.length
    this.#held = bytes.subarray(passed)
    if (this.#done && this.#held.length > MAX_END)
      throw new SealedError('workload.failed', 'the workload streamed on after its end mark')
    this.#tail = seen.slice(Math.max(0, end - CHUNK.length), end)
    return bytes.subarray(0, passed)
  }

  /** The rest of a stream that has come whole, with its receipt where one is given. */
  end(receipt?: string): Bytes {
    if (receipt === undefined) return this.#held
    if (this.#done) return concat(utf8(`${CHUNK}${receipt}"}\n\n`), this.#held)
    return concat(this.#held, utf8(`${COMMENT}${receipt}\n\n`))
  }
}

/** How many characters at the end of a text, after their line feed, may be the beginning of the end mark. */
function partOfMark(text: string): number {
  for (let length = DONE.length - 1; length > 1; length--)
    if (text.endsWith(DONE.slice(0, length))) return length - 1
  return 0
}

const HEARTBEATS = /(?<=^|\n\n): sealed\n\n/g
const IN_CHUNK =
  /data: \{"choices":\[\],"object":"chat\.completion\.chunk","receipt":"([A-Za-z0-9_-]+)"\}\n\n(?=data: \[DONE\])/
const IN_COMMENT = /\n\n: sealed-receipt ([A-Za-z0-9_-]+)\n\n$/

/** Takes heartbeats and receipt out again: the workload's bytes and the receipt; undefined when there is none. */
export function unspliceEvents(stream: Uint8Array): { output: Bytes; receipt: string } | undefined {
  const text = textOf(stream)
  const found = IN_CHUNK.exec(text) ?? IN_COMMENT.exec(text)
  if (!found) return undefined
  const added = [...text.matchAll(HEARTBEATS), found].sort((a, b) => a.index - b.index)
  const parts: Uint8Array[] = []
  let at = 0
  for (const { index, 0: span } of added) {
    parts.push(stream.subarray(at, index))
    at = index + span.length
  }
  return { output: concat(...parts, stream.subarray(at)), receipt: found[1]! }
}
