// Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes (Ed25519). Our extension lines carry the ledger's
// state digest, the NV counter, the VM's claimed time and the boot, so that one signature and one quote bind them all.
import { type Bytes, concat, equal, fromBase64, fromHex, toBase64, toHex, utf8 } from './bytes.ts'
import { ed25519Holds } from './ed25519.ts'
import { SealedError } from './errors.ts'
import { linesOf, NOTE_ED25519, type Note, noteKeyId, parseNote, signatureLine } from './note.ts'
import { NO_TPM } from './unsealed.ts'

export interface Checkpoint {
  /** Log identity: `sealed/<first 16 hex of K>`. */
  origin: string
  size: number
  root: Bytes
  /** Digest over meters, anomalies and registry. */
  state: Bytes
  /** Value of the TPM's NV counter that covers this checkpoint; without a TPM the database's own count. */
  counter: bigint
  utcMs: number
  /** Name of the attestation key (000b ‖ SHA-256), hex; `absent` without a TPM, and then both counts are 0. */
  akName: string
  resetCount: number
  restartCount: number
}

const bad = (message: string) => new SealedError('receipt.invalid', `checkpoint: ${message}`)

/** Whether the TPM's counter rose from one checkpoint of a boot to a later one, as it does with each that is made. */
export const hasCounted = (
  later: Pick<Checkpoint, 'counter' | 'size'>,
  earlier: Pick<Checkpoint, 'counter' | 'size'>,
): boolean =>
  later.size > earlier.size ? later.counter > earlier.counter : later.counter >= earlier.counter

/** The log's origin for a key set digest. */
export const logOrigin = (keySetDigest: Uint8Array): string =>
  `sealed/${toHex(keySetDigest).slice(0, 16)}`

/** The note's text: what is signed and what the quote covers. */
export function checkpointBody(c: Checkpoint): string {
  return [
    c.origin,
    String(c.size),
    toBase64(c.root),
    `state ${toHex(c.state)}`,
    `counter ${c.counter}`,
    `time ${c.utcMs}`,
    c.akName === NO_TPM ? `boot ${NO_TPM}` : `boot ${c.akName} ${c.resetCount} ${c.restartCount}`,
    '',
  ].join('\n')
}

const BODY =
  /^([!-~]+)\n(0|[1-9]\d{0,14})\n([A-Za-z0-9+/]{43}=)\nstate ([0-9a-f]{64})\ncounter (0|[1-9]\d{0,19})\ntime (0|[1-9]\d{0,14})\nboot (?:absent|(000b[0-9a-f]{64}) (0|[1-9]\d{0,9}) (0|[1-9]\d{0,9}))\n$/

export function parseCheckpointBody(body: string): Checkpoint {
  const m = BODY.exec(body)
  if (!m) throw bad('body is malformed')
  return {
    origin: m[1]!,
    size: Number(m[2]),
    root: fromBase64(m[3]!),
    state: fromHex(m[4]!),
    counter: BigInt(m[5]!),
    utcMs: Number(m[6]),
    akName: m[7] ?? NO_TPM,
    resetCount: Number(m[8] ?? 0),
    restartCount: Number(m[9] ?? 0),
  }
}

/** Signs a body; `sign` returns the 64-byte Ed25519 signature of the bytes given. */
export async function signNote(
  body: string,
  name: string,
  publicKey: Uint8Array,
  sign: (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<string> {
  const id = await noteKeyId(name, NOTE_ED25519, publicKey)
  return `${body}\n${signatureLine(name, id, await sign(utf8(body)))}`
}

/** Splits the note of a receipt into body and its one signature; other signers' lines are not allowed there. */
export function splitNote(note: string): { body: string; name: string; blob: Bytes } {
  const { body, signatures } = parseNote(note)
  const [line] = signatures
  if (signatures.length !== 1 || !line) throw bad('has more than one signature')
  if (body.includes('\n\n')) throw bad('has an empty line')
  if (line.signature.length !== 64) throw bad('signature has the wrong length')
  return { body, name: line.name, blob: concat(line.id, line.signature) }
}

/** Parses and verifies a receipt's checkpoint note under the ledger key; throws `receipt.invalid`. */
export async function openCheckpoint(
  note: string,
  ledgerKey: Uint8Array,
): Promise<{ checkpoint: Checkpoint; body: string }> {
  const { body, name, blob } = splitNote(note)
  const checkpoint = parseCheckpointBody(body)
  if (checkpoint.origin !== name) throw bad('signed by another name than its origin')
  if (!equal(blob.subarray(0, 4), await noteKeyId(name, NOTE_ED25519, ledgerKey)))
    throw bad('signed by another key')
  if (!(await ed25519Holds(ledgerKey, blob.subarray(4), utf8(body))))
    throw bad('signature is wrong')
  return { checkpoint, body }
}

/**
 * Parses and verifies a note that witnesses may have signed too. The log's own line stands exactly once; what others
 * signed is in `note`, unjudged. `alone` is the note with the log's line only, as receipts and boot leaves mean it.
 */
export async function openLogCheckpoint(
  text: string,
  ledgerKey: Uint8Array,
): Promise<{ checkpoint: Checkpoint; note: Note; alone: string }> {
  const note = parseNote(text)
  const { origin } = parseCheckpointBody(note.body)
  const own = linesOf(note, origin, await noteKeyId(origin, NOTE_ED25519, ledgerKey))
  if (own.length !== 1) throw bad(`the log’s own signature stands ${own.length} times`)
  const alone = `${note.body}\n${own[0]!.line}`
  const { checkpoint } = await openCheckpoint(alone, ledgerKey)
  return { checkpoint, note, alone }
}
