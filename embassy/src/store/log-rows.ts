// What the store's thread answers about the log as others see it: checkpoints, tiles, proofs, cosignatures. It reads
// hashes only; of the leaves, which name sessions, none but the first is given out.
import {
  decodeReceipt,
  encodeTlogProof,
  parseCheckpointBody,
  parseNote,
  SealedError,
  TILE_WIDTH,
  type Tile,
  tileWidth,
} from '@sealed/protocol'
import { consistencyPath } from '../ledger/consistency.ts'
import { inclusionPath, root } from '../ledger/tree.ts'
import { nodesOf, type Statements } from './rows.ts'

/** A checkpoint as the log signed it, and what witnesses signed beside it. */
interface Cosigned {
  note: string
  size: number
  counter: number
  lines: string[]
}

/** Where a log ended: leaves after its last checkpoint too, which a power cut may leave behind. */
export interface LogEnd {
  id: number
  origin: string
  size: number
  note: string | null
}

interface LogRow extends Omit<LogEnd, 'origin'> {
  /** Whether a later boot has a log of its own. */
  isPast: boolean
}

export abstract class LogRows {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  /** A session's receipt, base64url. */
  abstract receipt(session: string): string | undefined

  /** The newest checkpoint of a log as its own key signed it. */
  newestCheckpoint(origin: string): { note: string; size: number } | undefined {
    const log = this.#log(origin)
    return log?.note ? { note: log.note, size: sizeOf(log.note) } : undefined
  }

  /** The newest checkpoint of a log, with the cosignatures it has. */
  checkpoint(origin: string): string | undefined {
    const log = this.#log(origin)
    if (!log?.note) return undefined
    const cosigned = this.#cosigned(log.id).find(({ note }) => note === log.note)
    return log.note + (cosigned?.lines.join('') ?? '')
  }

  /**
   * A tile's hashes; undefined beyond the newest checkpoint, or, in the log of an earlier boot, beyond its end, which the
   * next boot's first leaf commits to. Throws `log.damaged`.
   */
  tile({ origin, tile }: { origin: string; tile: Tile }): Uint8Array | undefined {
    const log = this.#log(origin)
    if (!log?.note) return undefined
    const { level, index, width } = tile
    if (width > tileWidth(level, index, log.isPast ? log.size : sizeOf(log.note))) return undefined
    const first = index * TILE_WIDTH
    const rows = this.#sql.all<{ hash: Buffer }>(
      'SELECT hash FROM nodes WHERE log = ? AND level = ? AND idx >= ? AND idx < ? ORDER BY idx',
      log.id,
      level * 8,
      first,
      first + width,
    )
    if (rows.length !== width || rows.some(({ hash }) => hash.length !== 32))
      throw damaged(`tile ${level}/${index} has ${rows.length} of its ${width} hashes`)
    return Uint8Array.from(Buffer.concat(rows.map(({ hash }) => hash)))
  }

  /** Canonical JSON of a log's first leaf, which tells of the boot and of no session. */
  bootLeaf(origin: string): string | undefined {
    const log = this.#log(origin)
    if (!log?.note) return undefined
    return this.#sql.get<{ leaf: string }>(
      'SELECT leaf FROM leaves WHERE log = ? AND idx = 0 AND session IS NULL',
      log.id,
    )?.leaf
  }

  /** Consistency proof between two sizes of one log. Throws `log.damaged` where hashes are missing. */
  consistency(of: { origin: string; old: number; size: number }): Uint8Array[] {
    const log = this.#log(of.origin)
    if (!log) return []
    return consistencyPath(nodesOf(this.#sql, log.id), of.old, of.size).map((hash) =>
      Uint8Array.from(hash),
    )
  }

  /** C2SP tlog-proof of a session's leaf under the best cosigned checkpoint that covers it, else under the newest. */
  proof(session: string): string | undefined {
    const receipt = this.receipt(session)
    if (receipt === undefined) return undefined
    const { checkpoint, index } = decodeReceipt(receipt)
    const log = this.#log(parseCheckpointBody(parseNote(checkpoint).body).origin)
    if (!log?.note) return undefined
    const newest = { note: log.note, size: sizeOf(log.note), lines: [] }
    const best = this.#cosigned(log.id)
      .sort((a, b) => b.lines.length - a.lines.length || b.counter - a.counter)
      .find(({ size }) => size > index)
    const { lines, note, size } = best ?? newest
    if (size <= index) return undefined
    const path = inclusionPath(nodesOf(this.#sql, log.id), index, size)
    return encodeTlogProof({
      index,
      path: path.map((hash) => Uint8Array.from(hash)),
      checkpoint: note + lines.join(''),
    })
  }

  /** Keeps a witness's line, and forgets checkpoints that a newer one outdoes. */
  keepCosignature(of: { origin: string; note: string; name: string; line: string }): void {
    const log = this.#log(of.origin)
    if (!log) return
    const { counter, size } = parseCheckpointBody(parseNote(of.note).body)
    this.#sql.run(
      'INSERT OR REPLACE INTO cosignatures (log, note, name, line, size, counter) VALUES (?, ?, ?, ?, ?, ?)',
      log.id,
      of.note,
      of.name,
      of.line,
      size,
      Number(counter),
    )
    const all = this.#cosigned(log.id)
    for (const { counter: old, lines, note } of all)
      if (all.some((other) => other.counter > old && other.lines.length >= lines.length))
        this.#sql.run('DELETE FROM cosignatures WHERE log = ? AND note = ?', log.id, note)
  }

  #log(origin: string): LogRow | undefined {
    const row = this.#sql.get<Omit<LogRow, 'isPast'> & { newest: number }>(
      'SELECT id, size, note, (SELECT MAX(id) FROM logs) AS newest FROM logs WHERE origin = ?',
      origin,
    )
    return row && { ...row, isPast: row.id !== row.newest }
  }

  #cosigned(log: number): Cosigned[] {
    const rows = this.#sql.all<{ note: string; line: string; size: number; counter: number }>(
      'SELECT note, line, size, counter FROM cosignatures WHERE log = ? ORDER BY counter, name',
      log,
    )
    const notes = new Map<string, Cosigned>()
    for (const { line, ...row } of rows) {
      const known = notes.get(row.note)
      if (known) known.lines.push(line)
      else notes.set(row.note, { ...row, lines: [line] })
    }
    return [...notes.values()]
  }
}

/** Throws `log.damaged` unless the hashes on disk are those of the log's last checkpoint: no other is signed after it. */
export function ensureIntact(sql: Statements, log: LogEnd | undefined): void {
  if (!log?.note) return
  const { root: signed, size } = parseCheckpointBody(parseNote(log.note).body)
  if (size > log.size || !root(nodesOf(sql, log.id), size).equals(signed))
    throw damaged(`the hashes of ${log.origin} are not those that were signed`)
}

const sizeOf = (note: string): number => parseCheckpointBody(parseNote(note).body).size

const damaged = (what: string) =>
  new SealedError('log.damaged', `${what}: the database of this machine was altered or is broken`)
