// What the store's thread answers about the log as others see it: checkpoints, tiles, proofs, cosignatures. It reads
// hashes only; of the leaves, which name sessions, none but the first is given out.
import {
  type BootLeaf,
  encodeTlogProof,
  fromHex,
  TILE_WIDTH,
  type Tile,
  tileWidth,
} from '@sealed/protocol'
import { consistencyPath } from '../ledger/consistency.ts'
import {
  inclusionPath,
  leafHash,
  type Nodes,
  provenNodes,
  root,
  rootWith,
  subtreesOf,
} from '../ledger/tree.ts'
import { damaged, headOf, receiptOf, sessionRow } from './receipt-rows.ts'
import { nodesOf, type Statements } from './rows.ts'

/** A checkpoint as the log signed it, and what witnesses signed beside it. */
interface Cosigned {
  note: string
  size: number
  counter: number
  lines: string[]
}

export interface LeafPlace {
  log: number
  idx: number
}
export interface LogEntryRow extends LeafPlace {
  leaf: string
  origin: string
}

/** Where a log ended: leaves after its last checkpoint too, which a power cut may leave behind. */
export interface LogEnd {
  id: number
  origin: string
  size: number
  note: string | null
}

interface Head {
  root: Uint8Array
  size: number
}

interface LogRow {
  id: number
  origin: string
  note: string | null
}

export abstract class LogRows {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  /** A session's receipt, base64url. Throws `log.damaged`. */
  receipt(session: string): string | undefined {
    return receiptOf(this.#sql, session)
  }

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
    const head = this.#end(log, log.note)
    if (width > tileWidth(level, index, head.size)) return undefined
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
    const hashes = rows.map(({ hash }) => hash)
    const nodes = nodesOf(this.#sql, log.id)
    for (const [above, at, hash] of subtreesOf(hashes))
      if (
        !rootWith(nodes, head.size, (first + at) / 2 ** above, hash, level * 8 + above).equals(
          head.root,
        )
      )
        throw damaged(`tile ${level}/${index} does not lead to the checkpoint`)
    return Uint8Array.from(Buffer.concat(hashes))
  }

  /** Canonical JSON of a log's first leaf, which tells of the boot and of no session. Throws `log.damaged`. */
  bootLeaf(origin: string): string | undefined {
    const log = this.#log(origin)
    if (!log?.note) return undefined
    const leaf = this.#sql.get<{ leaf: string }>(
      'SELECT leaf FROM leaves WHERE log = ? AND idx = 0 AND session IS NULL',
      log.id,
    )?.leaf
    if (leaf === undefined || !leafHash(leaf).equals(this.#nodes(log, log.note).get(0, 0)))
      throw damaged('the first leaf is not the one in the log')
    return leaf
  }

  /** Up to `limit` leaves with their texts, all logs' in order, after a place; those whose texts were pruned are left out. */
  entries({ after, limit }: { after: LeafPlace; limit: number }): LogEntryRow[] {
    return this.#sql.all(
      `SELECT log, idx, leaf, origin FROM leaves JOIN logs ON logs.id = leaves.log
       WHERE (log, idx) > (?, ?) ORDER BY log, idx LIMIT ?`,
      after.log,
      after.idx,
      limit,
    )
  }

  /** Consistency proof between two sizes of one log. Throws `log.damaged` where hashes are missing. */
  consistency(of: { origin: string; old: number; size: number }): Uint8Array[] {
    const log = this.#log(of.origin)
    if (!log?.note) return []
    return consistencyPath(this.#nodes(log, log.note), of.old, of.size).map((hash) =>
      Uint8Array.from(hash),
    )
  }

  /** C2SP tlog-proof of a session's leaf under the best cosigned checkpoint that covers it, else under the newest. */
  proof(session: string): string | undefined {
    const row = sessionRow(this.#sql, session)
    if (!row) return undefined
    const { idx: index } = row
    const log = this.#sql.get<LogRow>('SELECT id, origin, note FROM logs WHERE id = ?', row.log)
    if (!log?.note) return undefined
    const newest = { note: log.note, size: sizeOf(log.note), lines: [] }
    const best = this.#cosigned(log.id)
      .sort((a, b) => b.lines.length - a.lines.length || b.counter - a.counter)
      .find(({ size }) => size > index)
    const { lines, note, size } = best ?? newest
    if (size <= index) return undefined
    const path = inclusionPath(this.#nodes(log, log.note), index, size)
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
    const { counter, size } = headOf(of.note)
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

  /** A log's hashes, each of which leads to its end. */
  #nodes(log: LogRow, note: string): Nodes {
    const { root, size } = this.#end(log, note)
    return provenNodes(nodesOf(this.#sql, log.id), size, root, damaged)
  }

  /** Where a log ends: at its newest checkpoint, or, of an earlier boot, where the next one's first leaf says. */
  #end({ id, origin }: LogRow, note: string): Head {
    const rows = this.#sql.all<{ leaf: string }>(
      'SELECT leaf FROM leaves WHERE idx = 0 AND log > ? AND session IS NULL ORDER BY log LIMIT 1',
      id,
    )
    for (const { leaf } of rows) {
      const { previous } = JSON.parse(leaf) as BootLeaf
      if (previous?.origin === origin) return { root: fromHex(previous.root), size: previous.size }
    }
    return headOf(note)
  }

  #log(origin: string): LogRow | undefined {
    return this.#sql.get('SELECT id, origin, note FROM logs WHERE origin = ?', origin)
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
  const { root: signed, size } = headOf(log.note)
  if (size > log.size || !root(nodesOf(sql, log.id), size).equals(signed))
    throw damaged(`the hashes of ${log.origin} are not those that were signed`)
}

const sizeOf = (note: string): number => headOf(note).size
