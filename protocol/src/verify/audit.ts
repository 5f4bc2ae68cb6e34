// Holds a checkpoint that was kept against the log of today: either the one is shown to have grown into the other, leaf
// by leaf and boot by boot, or the audit fails with where they part. It takes nothing for granted that a source says.
import { fromHex } from '../bytes.ts'
import {
  type Checkpoint,
  hasCounted,
  openLogCheckpoint,
  parseCheckpointBody,
} from '../checkpoint.ts'
import { type TreeHead, verifyConsistency } from '../consistency.ts'
import { readCosignatures, type WitnessKey } from '../cosignature.ts'
import { SealedError } from '../errors.ts'
import { leafHash, verifyInclusion } from '../merkle.ts'
import { parseNote } from '../note.ts'
import { parseBootLeaf } from '../statement.ts'
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
  let end: LogEnd = newest.checkpoint
  while (end.origin !== saved.origin) {
    end = await endBefore(source, end)
    if (logs.includes(end.origin) || logs.length >= MAX_BOOTS)
      throw fork(`the way back from ${today.origin} does not end`)
    logs.push(end.origin)
  }
  await proveGrowth(source, saved, end)
  return {
    saved,
    savedSignature: isOfToday ? 'verified' : 'unchecked',
    newest: newest.checkpoint,
    note: newest.text,
    logs,
    witnesses: newest.witnesses,
  }
}

/** A log up to where it is known: to its newest checkpoint, or to where the next boot says that it ended. */
interface LogEnd extends TreeHead {
  origin: string
  counter?: bigint
}

const treeOf = (source: LogSource, end: LogEnd): Promise<TileTree> =>
  TileTree.open((path) => source.tile(end.origin, path), end)

/** The end of the log before this one, as this one's first leaf commits to it. */
async function endBefore(source: LogSource, of: LogEnd): Promise<LogEnd> {
  const bytes = await source.boot(of.origin)
  const tree = await treeOf(source, of)
  if (of.size === 0) throw fork(`${of.origin} has no leaf that names the log before it`)
  const path = await tree.inclusion(0)
  if (!(await verifyInclusion(of.root, await leafHash(bytes), 0, of.size, path)))
    throw fork(`what ${of.origin} shows as its first leaf is not in it`)
  const { key_set, previous } = parseBootLeaf(bytes)
  if (of.origin !== `sealed/${key_set.slice(0, 16)}`)
    throw fork(`the first leaf of ${of.origin} is of another key set`)
  if (!previous) throw fork(`${of.origin} continues no other log`)
  return { origin: previous.origin, root: fromHex(previous.root), size: previous.size }
}

/** Throws unless the log up to `end` is the one that was kept, with leaves appended. */
async function proveGrowth(source: LogSource, kept: Checkpoint, end: LogEnd): Promise<void> {
  const where = `${end.origin} at ${end.size} leaves`
  if (kept.size > end.size) throw fork(`${where} is cut short: ${kept.size} leaves were kept`)
  if (end.counter !== undefined && !hasCounted({ ...end, counter: end.counter }, kept))
    throw fork(`the counter of ${where} is ${end.counter}, and ${kept.counter} was kept`)
  const tree = await treeOf(source, end)
  const proof = await tree.consistency(kept.size)
  if (await verifyConsistency(kept, end, proof)) return
  throw fork(`${where} is another log than the one kept at ${kept.size} leaves`)
}
