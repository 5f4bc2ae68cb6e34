// Logs of several boots in memory, served as a gateway serves them; a test may bend any part that is served.
import { type Bytes, concat, sha256Hex, toBase64url, toHex, utf8 } from '../bytes.ts'
import { type Checkpoint, checkpointBody, logOrigin, signNote } from '../checkpoint.ts'
import { canonicalBytes } from '../json.ts'
import { keySetDigest } from '../key-set.ts'
import { leafHash, merkleRoot } from '../merkle.ts'
import { parseTilePath, TILE_WIDTH } from '../tiles.ts'
import type { LogSource, TodaysLog } from './audit.ts'

export interface TestLog extends TodaysLog {
  leaves: Bytes[]
  /** Signs the first `size` leaves. */
  note: (size: number, lies?: Partial<Checkpoint>) => Promise<string>
}

/** The log of one boot: its boot leaf, which names the end of the log before it, and `more` others. */
export async function createLog(
  more: number,
  previous?: { log: TestLog; note: string },
): Promise<TestLog> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const ledgerKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  const k = await keySetDigest({ ledger_key: toBase64url(ledgerKey), version: 1 })
  const origin = logOrigin(k)
  const boot = canonicalBytes({
    key_set: toHex(k),
    kind: 'boot',
    ...(previous && {
      previous: {
        checkpoint_digest: await sha256Hex(utf8(previous.note)),
        origin: previous.log.origin,
        root: toHex(await rootOf(previous.log.leaves)),
        size: previous.log.leaves.length,
      },
    }),
    started_ms: 1,
    version: 1,
  })
  const leaves = [boot, ...Array.from({ length: more }, (_, i) => utf8(`${origin} leaf ${i}`))]
  const sign = async (bytes: Uint8Array) =>
    new Uint8Array(await crypto.subtle.sign('Ed25519', pair.privateKey, bytes as Bytes))
  return {
    origin,
    ledgerKey,
    leaves,
    note: async (size, lies) => {
      const checkpoint: Checkpoint = {
        origin,
        size,
        root: await rootOf(leaves.slice(0, size)),
        state: new Uint8Array(32),
        counter: BigInt(100 + size),
        utcMs: 1_790_000_000_000 + size,
        akName: `000b${'ab'.repeat(32)}`,
        resetCount: 1,
        restartCount: 0,
        ...lies,
      }
      return signNote(checkpointBody(checkpoint), checkpoint.origin, ledgerKey, sign)
    },
  }
}

const rootOf = async (leaves: readonly Bytes[]): Promise<Bytes> =>
  merkleRoot(await Promise.all(leaves.map(leafHash)))

/** Other leaves under the log's own key: what a machine signs that lies. */
export const relaid = (log: TestLog, leaves: Bytes[]): TestLog => ({
  ...log,
  leaves,
  note: async (size, lies) =>
    log.note(size, { root: await rootOf(leaves.slice(0, size)), ...lies }),
})

export interface Bends {
  checkpoint?: (origin: string, note: string) => string | Promise<string>
  boot?: (origin: string, bytes: Bytes) => Bytes
  tile?: (path: string, bytes: Bytes) => Bytes
}

/** Serves whole logs of at most 65,535 leaves. */
export function serveLogs(logs: readonly TestLog[], bends: Bends = {}): LogSource {
  const find = (origin: string) => {
    const log = logs.find((one) => one.origin === origin)
    if (!log) throw new Error(`no log ${origin}`)
    return log
  }
  return {
    checkpoint: async (origin) => {
      const log = find(origin)
      const note = await log.note(log.leaves.length)
      return bends.checkpoint?.(origin, note) ?? note
    },
    boot: async (origin) =>
      bends.boot?.(origin, find(origin).leaves[0]!) ?? find(origin).leaves[0]!,
    tile: async (origin, path) => {
      const { index, level, width } = parseTilePath(path)!
      const hashes = await Promise.all(find(origin).leaves.map(leafHash))
      const at = (n: number) =>
        level === 0 ? hashes[n]! : merkleRoot(hashes.slice(n * TILE_WIDTH, (n + 1) * TILE_WIDTH))
      const first = index * TILE_WIDTH
      const tile = await Promise.all(Array.from({ length: width }, (_, i) => at(first + i)))
      return bends.tile?.(path, concat(...tile)) ?? concat(...tile)
    },
  }
}
