// Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes (Ed25519). Our extension lines carry the ledger's
// state digest, the NV counter, the VM's claimed time and the boot, so that one signature and one quote bind them all.
import {
  type Bytes,
  concat,
  equal,
  fromBase64,
  fromHex,
  sha256,
  toBase64,
  toHex,
  utf8,
} from './bytes.ts'
import { SealedError } from './errors.ts'

export interface Checkpoint {
  /** Log identity: `sealed/<first 16 hex of K>`. */
  origin: string
  size: number
  root: Bytes
  /** Digest over meters, anomalies and registry. */
  state: Bytes
  /** Value of the TPM's NV counter that covers this checkpoint. */
  counter: bigint
  utcMs: number
  /** Name of the attestation key (000b ‖ SHA-256), hex. */
  akName: string
  resetCount: number
  restartCount: number
}

const bad = (message: string) => new SealedError('receipt.invalid', `checkpoint: ${message}`)
const ED25519_NOTE = 1
const EM_DASH = '\u2014'

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
    `boot ${c.akName} ${c.resetCount} ${c.restartCount}`,
    '',
  ].join('\n')
}

const BODY =
  /^([!-~]+)\n(0|[1-9]\d{0,14})\n([A-Za-z0-9+/]{43}=)\nstate ([0-9a-f]{64})\ncounter (0|[1-9]\d{0,19})\ntime (0|[1-9]\d{0,14})\nboot (000b[0-9a-f]{64}) (0|[1-9]\d{0,9}) (0|[1-9]\d{0,9})\n$/

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
    akName: m[7]!,
    resetCount: Number(m[8]),
    restartCount: Number(m[9]),
  }
}

/** First four bytes of SHA-256(name ‖ "\n" ‖ 0x01 ‖ public key), as C2SP signed-note says for Ed25519. */
async function noteKeyHash(name: string, publicKey: Uint8Array): Promise<Bytes> {
  return (await sha256(utf8(`${name}\n`), Uint8Array.of(ED25519_NOTE), publicKey)).slice(0, 4)
}

/** Signs a body; `sign` returns the 64-byte Ed25519 signature of the bytes given. */
export async function signNote(
  body: string,
  name: string,
  publicKey: Uint8Array,
  sign: (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<string> {
  const blob = concat(await noteKeyHash(name, publicKey), await sign(utf8(body)))
  return `${body}\n${EM_DASH} ${name} ${toBase64(blob)}\n`
}

/** Splits a note into body and the one signature of `name`; other signers' lines are not allowed here. */
export function splitNote(note: string): { body: string; name: string; blob: Bytes } {
  const at = note.indexOf('\n\n')
  const body = note.slice(0, at + 1)
  const m = /^\u2014 ([!-~]+) ([A-Za-z0-9+/]+={0,2})\n$/.exec(note.slice(at + 2))
  if (at < 0 || !m) throw bad('note is malformed')
  const blob = fromBase64(m[2]!)
  if (blob.length !== 68) throw bad('signature has the wrong length')
  return { body, name: m[1]!, blob }
}

/** Parses and verifies a checkpoint note under the ledger key; throws `receipt.invalid`. */
export async function openCheckpoint(
  note: string,
  ledgerKey: Uint8Array,
): Promise<{ checkpoint: Checkpoint; body: string }> {
  const { body, name, blob } = splitNote(note)
  const checkpoint = parseCheckpointBody(body)
  if (checkpoint.origin !== name) throw bad('signed by another name than its origin')
  if (!equal(blob.subarray(0, 4), await noteKeyHash(name, ledgerKey)))
    throw bad('signed by another key')
  const key = await crypto.subtle.importKey('raw', ledgerKey as Bytes, 'Ed25519', false, ['verify'])
  if (!(await crypto.subtle.verify('Ed25519', key, blob.slice(4), utf8(body))))
    throw bad('signature is wrong')
  return { checkpoint, body }
}
