// C2SP tlog-witness, `add-checkpoint`: the bodies that go between a log and its witnesses.
import { type Bytes, toBase64 } from './bytes.ts'
import { SealedError } from './errors.ts'
import { MAX_NOTE_CHARS } from './note.ts'
import { DECIMAL, hashLine } from './tlog-proof.ts'

export interface AddCheckpoint {
  /** Size of the last checkpoint that the witness cosigned, 0 for none. */
  old: number
  /** Consistency proof from there; empty when `old` is 0. */
  proof: Bytes[]
  /** The checkpoint note, verbatim. */
  checkpoint: string
}

/** Type of the body of a 409: the size that the witness knows. */
export const SIZE_TYPE = 'text/x.tlog.size'
/** "The client MUST NOT send more than 63 consistency proof lines." */
const MAX_LINES = 63
export const MAX_ADD_CHECKPOINT_CHARS = MAX_NOTE_CHARS + 64 * (MAX_LINES + 1)

const bad = (message: string) => new SealedError('request.invalid', `add-checkpoint: ${message}`)

export const encodeAddCheckpoint = ({ checkpoint, old, proof }: AddCheckpoint): string =>
  `${[`old ${old}`, ...proof.map(toBase64)].join('\n')}\n\n${checkpoint}`

/** Throws `request.invalid`, `evidence.invalid` or `encoding.invalid`. The checkpoint is not looked into. */
export function parseAddCheckpoint(text: string): AddCheckpoint {
  if (text.length > MAX_ADD_CHECKPOINT_CHARS) throw bad('is too long')
  const at = text.indexOf('\n\n')
  if (at < 0) throw bad('holds no checkpoint')
  const [first = '', ...lines] = text.slice(0, at).split('\n')
  if (!first.startsWith('old ') || !DECIMAL.test(first.slice(4))) throw bad('has no old size')
  if (lines.length > MAX_LINES) throw bad('its proof is too long')
  return {
    old: Number(first.slice(4)),
    proof: lines.map(hashLine),
    checkpoint: text.slice(at + 2),
  }
}

/** The size in a 409's body; undefined when it is none. */
export const parseKnownSize = (body: string): number | undefined => {
  const size = body.endsWith('\n') ? body.slice(0, -1) : ''
  return DECIMAL.test(size) ? Number(size) : undefined
}
