// C2SP tlog-proof: one leaf's way to a checkpoint as text, to be checked offline with the leaf at hand. Nothing in it
// is trusted for being there; the extra line is not signed by anyone and is not used.
import { type Bytes, fromBase64, toBase64 } from './bytes.ts'
import { SealedError } from './errors.ts'
import { MAX_NOTE_CHARS } from './note.ts'

export interface TlogProof {
  index: number
  /** Inclusion path, leaf's sibling first. */
  path: Bytes[]
  /** The checkpoint note, verbatim. */
  checkpoint: string
  /** Opaque, unauthenticated. */
  extra?: Bytes
}

const HEADER = 'c2sp.org/tlog-proof@v1'
/** Hashes of a path in any tree whose size is a safe integer. */
const MAX_PATH = 53
const MAX_EXTRA_CHARS = 65_536
export const MAX_PROOF_CHARS = MAX_NOTE_CHARS + MAX_EXTRA_CHARS + 64 * (MAX_PATH + 2)

const bad = (message: string) => new SealedError('evidence.invalid', `tlog-proof: ${message}`)
export const DECIMAL = /^(?:0|[1-9]\d{0,14})$/

export function encodeTlogProof({ checkpoint, extra, index, path }: TlogProof): string {
  const lines = [
    HEADER,
    ...(extra ? [`extra ${toBase64(extra)}`] : []),
    `index ${index}`,
    ...path.map(toBase64),
    '',
    checkpoint,
  ]
  return lines.join('\n')
}

/** Parses "Format"; throws `evidence.invalid` or `encoding.invalid`. The checkpoint is not looked into. */
export function parseTlogProof(text: string): TlogProof {
  if (text.length > MAX_PROOF_CHARS) throw bad('is too long')
  const at = text.indexOf('\n\n')
  if (at < 0) throw bad('holds no checkpoint')
  const lines = text.slice(0, at).split('\n')
  if (lines.shift() !== HEADER) throw bad(`does not begin with ${HEADER}`)
  const extra = lines[0]?.startsWith('extra ') ? fromBase64(lines.shift()!.slice(6)) : undefined
  const index = lines.shift() ?? ''
  if (!index.startsWith('index ') || !DECIMAL.test(index.slice(6))) throw bad('has no index')
  if (lines.length > MAX_PATH) throw bad('its path is too long')
  return {
    index: Number(index.slice(6)),
    path: lines.map(hashLine),
    checkpoint: text.slice(at + 2),
    ...(extra && { extra }),
  }
}

/** One SHA-256 hash in base64, as proof lines hold it. */
export function hashLine(line: string): Bytes {
  const hash = fromBase64(line)
  if (hash.length !== 32) throw bad('a line of the path is no SHA-256 hash')
  return hash
}
