// C2SP tlog-cosignature, `cosignature/v1`: a witness's statement, at a time of its own clock, that a checkpoint is of
// the one log it has seen grow. Only lines of keys that the caller knows are judged; others are ignored.
import * as v from 'valibot'
import { type Bytes, concat, fromBase64url, utf8 } from './bytes.ts'
import { ed25519Holds } from './ed25519.ts'
import { SealedError } from './errors.ts'
import { KEY_NAME, linesOf, NOTE_COSIGNATURE, type Note, noteKeyId, signatureLine } from './note.ts'
import { base64url } from './schema.ts'

export const witnessKeySchema = v.strictObject({
  /** C2SP key name. */
  name: v.pipe(v.string(), v.regex(KEY_NAME, 'must be a key name without space or plus')),
  /** Raw Ed25519 key. */
  public_key: v.pipe(base64url(32), v.length(43)),
})
export type WitnessKey = v.InferOutput<typeof witnessKeySchema>

export interface Cosignature {
  name: string
  /** By the witness's clock, in whole seconds. */
  seconds: number
  line: string
}

/** The last second that a Date can name; C2SP allows up to 2^63 − 1, which no clock shows. */
const MAX_SECONDS = 8_640_000_000_000
const TIMESTAMP_BYTES = 8

const bad = (message: string) => new SealedError('evidence.invalid', `cosignature: ${message}`)

/** What is signed: header line, timestamp line, the checkpoint's whole body ("Ed25519 signed message"). */
export const cosignatureMessage = (body: string, seconds: number): Bytes =>
  utf8(`cosignature/v1\ntime ${seconds}\n${body}`)

/** Makes a witness's signature line; `sign` returns the 64-byte Ed25519 signature of the bytes given. */
export async function cosign(
  body: string,
  name: string,
  publicKey: Uint8Array,
  seconds: number,
  sign: (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<string> {
  const timestamp = new Uint8Array(TIMESTAMP_BYTES)
  new DataView(timestamp.buffer).setBigUint64(0, BigInt(seconds))
  const signature = await sign(cosignatureMessage(body, seconds))
  const id = await noteKeyId(name, NOTE_COSIGNATURE, publicKey)
  return signatureLine(name, id, concat(timestamp, signature))
}

/**
 * The cosignatures of these keys on a note, each verified; of a key that signed twice the earlier one. Throws
 * `evidence.invalid` when a line of a known key does not hold: such a note is rejected whole (C2SP signed-note).
 */
export async function readCosignatures(
  note: Note,
  keys: readonly WitnessKey[],
): Promise<Cosignature[]> {
  const found: Cosignature[] = []
  for (const { name, public_key } of keys) {
    const key = fromBase64url(public_key)
    const lines = linesOf(note, name, await noteKeyId(name, NOTE_COSIGNATURE, key))
    const own: Cosignature[] = []
    for (const { line, signature } of lines) {
      const seconds = timestampOf(signature)
      const message = cosignatureMessage(note.body, seconds)
      if (!(await ed25519Holds(key, signature.slice(TIMESTAMP_BYTES), message)))
        throw bad(`that of ${name} is wrong`)
      own.push({ name, seconds, line })
    }
    own.sort((a, b) => a.seconds - b.seconds)
    if (own[0]) found.push(own[0])
  }
  return found
}

function timestampOf(signature: Uint8Array): number {
  if (signature.length !== TIMESTAMP_BYTES + 64) throw bad('has the wrong length')
  const view = new DataView(signature.buffer, signature.byteOffset, TIMESTAMP_BYTES)
  const seconds = view.getBigUint64(0)
  if (seconds === 0n || seconds > BigInt(MAX_SECONDS)) throw bad('its time is none')
  return Number(seconds)
}
