// C2SP signed notes with any number of signers: parsing, key ids, signature lines. It says what stands in a note; who
// of the signers is known, and whether a signature holds, is decided by those who have the keys.
import { type Bytes, concat, equal, fromBase64, sha256, toBase64, utf8 } from './bytes.ts'
import { SealedError } from './errors.ts'

/** Signature types of C2SP signed-note, "Signature types". */
export const NOTE_ED25519 = 0x01
export const NOTE_COSIGNATURE = 0x04

/** Bounds of a note: "Verifiers SHOULD apply a maximum limit … but MUST accept at least up to 16 signatures". */
export const MAX_NOTE_CHARS = 65_536
const MAX_SIGNATURES = 32

export interface NoteSignature {
  name: string
  /** Key id, four bytes. */
  id: Bytes
  signature: Bytes
  /** The line as it stands, with its line feed. */
  line: string
}
export interface Note {
  /** What is signed, with its last line feed. */
  body: string
  signatures: NoteSignature[]
}

/** A key name: printable ASCII without space and plus, which is narrower than C2SP signed-note and enough for us. */
export const KEY_NAME = /^[!-*,-~]{1,128}$/

const bad = (message: string) => new SealedError('receipt.invalid', `note: ${message}`)
const LINE = /^\u2014 ([^\s+]{1,512}) ([A-Za-z0-9+/]+={0,2})$/
/** Control characters other than the line feed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/

/** Splits a note at its last empty line ("Format"). Throws `receipt.invalid` or `encoding.invalid`. */
export function parseNote(note: string): Note {
  if (note.length > MAX_NOTE_CHARS) throw bad('is too long')
  if (CONTROL.test(note)) throw bad('holds a control character')
  const at = note.lastIndexOf('\n\n')
  if (at < 0 || !note.endsWith('\n')) throw bad('is malformed')
  const signatures = parseSignatureLines(note.slice(at + 2))
  if (signatures.length === 0) throw bad('has no signature')
  return { body: note.slice(0, at + 1), signatures }
}

/** Parses signature lines, as a witness answers them too. Throws `receipt.invalid` or `encoding.invalid`. */
export function parseSignatureLines(text: string): NoteSignature[] {
  const lines = text.split('\n')
  if (lines.pop() !== '') throw bad('its last line is not ended')
  if (lines.length > MAX_SIGNATURES) throw bad('has too many signatures')
  return lines.map((line) => {
    const m = LINE.exec(line)
    if (!m) throw bad('a signature line is malformed')
    const blob = fromBase64(m[2]!)
    if (blob.length < 5) throw bad('a signature is too short')
    return { name: m[1]!, id: blob.slice(0, 4), signature: blob.slice(4), line: `${line}\n` }
  })
}

/** First four bytes of SHA-256(name ‖ "\n" ‖ type ‖ public key), as "Signatures" recommends. */
export const noteKeyId = async (name: string, type: number, key: Uint8Array): Promise<Bytes> =>
  (await sha256(utf8(`${name}\n`), Uint8Array.of(type), key)).slice(0, 4)

export const signatureLine = (name: string, id: Uint8Array, signature: Uint8Array): string =>
  `\u2014 ${name} ${toBase64(concat(id, signature))}\n`

/** The lines of one key. Others, "even if they share a name or ID (but not both)", are not known and ignored. */
export const linesOf = (note: Note, name: string, id: Uint8Array): NoteSignature[] =>
  note.signatures.filter((line) => line.name === name && equal(line.id, id))
