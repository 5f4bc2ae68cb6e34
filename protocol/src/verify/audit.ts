// Holds a checkpoint that was kept against the log of today: either the one is shown to have grown into the other, leaf
// by leaf and boot by boot, or the audit fails with where they part. It takes nothing for granted that a source says.
import { sha256Hex, utf8 } from '../bytes.ts'
import { type Checkpoint, openLogCheckpoint, parseCheckpointBody } from '../checkpoint.ts'
import { verifyConsistency } from '../consistency.ts'
import { readCosignatures, type WitnessKey } from '../cosignature.ts'
import { SealedError } from '../errors.ts'
import { leafHash, verifyInclusion } from '../merkle.ts'
import { parseNote } from '../note.ts'
import { type BootLeaf, parseBootLeaf } from '../statement.ts'
import { TileTree } from '../tiles.ts'

/** Where logs are read from, by origin. Each call throws when there is no such thing. */
export interface LogSource {
  /** The newest checkpoint of a log, as a note. */
  checkpoint(origin: string): Promise<string>
  /** Canonical bytes of its first leaf. */
  boot(origin: string): Promise<Uint8Array>
  tile(origin: string, path: string): Promise<Uint8Array>
}

/** The log that the machine keeps today, as its verified attestation document names it. */
export interface TodaysLog {
  origin: string
  ledgerKey: Uint8Array
}

export interface Audit {
  /** The checkpoint that was kept. */
  saved: Checkpoint
  /** Whether its signature was checked: the key of an earlier boot is not known today. */
  savedSignature: 'verified' | 'unchecked'
  newest: Checkpoint
  /** The newest checkpoint as it came, to be kept for the next audit. */
  note: string
  /** Origins from today's log back to the one that was kept; one where it is the same boot. */
  logs: string[]
  /** Witnesses given who have cosigned the newest checkpoint. */
  witnesses: string[]
}

/** Boots that are followed back. */
const MAX_BOOTS = 1_000

const fork = (message: string) => new SealedError('log.fork', `log: ${message}`)

/** The newest checkpoint of today's log, its signature and those of the witnesses given verified. */
export async function openTodaysCheckpoint(
  source: Pick<LogSource, 'checkpoint'>,
  today: TodaysLog,
  witnesses: readonly WitnessKey[] = [],
): Promise<{ checkpoint: Checkpoint; text: string; witnesses: string[] }> {
  const text = await source.checkpoint(today.origin)
  const { checkpoint, note } = await openLogCheckpoint(text, today.ledgerKey)
  if (checkpoint.origin !== today.origin)
    throw fork(`asked for ${today.origin}, and was shown ${checkpoint.origin}`)
  const names = (await readCosignatures(note, witnesses)).map(({ name }) => name)
  return { checkpoint, text, witnesses: names }
}

/**
 * Throws `log.fork` where the saved checkpoint is not the beginning of today's log, `log.damaged` where tiles do not
 * hash to the checkpoint that they are served for, and what `source` throws.
 */
export async function auditLog(
  source: LogSource,
  savedNote: string,
  today: TodaysLog,
  witnesses: readonly WitnessKey[] = [],
): Promise<Audit> {
  const saved = parseCheckpointBody(parseNote(savedNote).body)
  const isOfToday = saved.origin === today.origin
  if (isOfToday) await openLogCheckpoint(savedNote, today.ledgerKey)
  const newest = await openTodaysCheckpoint(source, today, witnesses)
  const logs = [today.origin]
  let link = newest.checkpoint
  while (link.origin !== saved.origin) {
    link = await previousCheckpoint(source, link)
    if (logs.includes(link.origin) || logs.length >= MAX_BOOTS)
      throw fork(`the way back from ${today.origin} does not end`)
    logs.push(link.origin)
  }
  await proveGrowth(source, saved, link)
  return {
    saved,
    savedSignature: isOfToday ? 'verified' : 'unchecked',
    newest: newest.checkpoint,
    note: newest.text,
    logs,
    witnesses: newest.witnesses,
  }
}

const treeOf = (source: LogSource, head: Checkpoint): Promise<TileTree> =>
  TileTree.open((path) => source.tile(head.origin, path), head)

/** The last checkpoint of the log before this one, as this one's first leaf commits to it. */
async function previousCheckpoint(source: LogSource, of: Checkpoint): Promise<Checkpoint> {
  const bytes = await source.boot(of.origin)
  const tree = await treeOf(source, of)
  if (of.size === 0) throw fork(`${of.origin} has no leaf that names the log before it`)
  const path = await tree.inclusion(0)
  if (!(await verifyInclusion(of.root, await leafHash(bytes), 0, of.size, path)))
    throw fork(`what ${of.origin} shows as its first leaf is not in it`)
  const leaf: BootLeaf = parseBootLeaf(bytes)
  if (of.origin !== `sealed/${leaf.key_set.slice(0, 16)}`)
    throw fork(`the first leaf of ${of.origin} is of another key set`)
  if (!leaf.previous) throw fork(`${of.origin} continues no other log`)
  const { checkpoint_digest, origin } = leaf.previous
  const { body, signatures } = parseNote(await source.checkpoint(origin))
  for (const { line, name } of signatures)
    if (name === origin && (await sha256Hex(utf8(`${body}\n${line}`))) === checkpoint_digest) {
      const checkpoint = parseCheckpointBody(body)
      if (checkpoint.origin === origin) return checkpoint
    }
  throw fork(`the last checkpoint of ${origin} is not the one that ${of.origin} continues`)
}

/** Throws unless `newer` is `older` with leaves appended. */
async function proveGrowth(source: LogSource, older: Checkpoint, newer: Checkpoint): Promise<void> {
  const where = `${newer.origin} at ${newer.size} leaves`
  if (older.size > newer.size) throw fork(`${where} is cut short: ${older.size} leaves were kept`)
  if (older.counter > newer.counter)
    throw fork(`the counter of ${where} is ${newer.counter}, below ${older.counter} that was kept`)
  const tree = await treeOf(source, newer)
  const proof = await tree.consistency(older.size)
  if (await verifyConsistency(older, newer, proof)) return
  throw fork(`${where} is another log than the one kept at ${older.size} leaves`)
}
