// log replay: an authority's meters summed up again from the log's leaves and the openings of its readings, so that no
// one has to take the embassy's sum on trust. Offline; says what it could not hold against anything.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  checkEpochs,
  type Epochs,
  fromUtf8,
  type HeldLog,
  holdEntries,
  laterLeavesOf,
  parseCheckpointBody,
  parseLogEntry,
  parseNote,
  parseReading,
  type Reading,
  replayMeters,
  sessionLeavesOf,
} from '@sealed/protocol'
import { type Io, painter, plainLine, printJson } from '../io.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

interface ReplayFlags {
  entries: string
  readings: string
  checkpoint?: string[]
  json?: boolean
}

export async function replayCommand(io: Io, flags: ReplayFlags): Promise<Exit> {
  const entries = await lines(io, flags.entries, 'entries', parseLogEntry)
  const readings = await lines(io, flags.readings, 'readings', parseReading)
  const last = readings.at(-1)
  if (!last) throw new UsageError(`${flags.readings} holds no reading`, 'readings')
  const notes = await Promise.all(
    (flags.checkpoint ?? []).map(async (path) =>
      parseCheckpointBody(parseNote(fromUtf8(await open(io, path, 'checkpoint'))).body),
    ),
  )
  const logs = await holdEntries(entries, notes)
  const leaves = laterLeavesOf(entries)
  const epochs = checkEpochs(leaves)
  const replay = await replayMeters(
    sessionLeavesOf(leaves),
    readings.flatMap(({ openings }) => openings),
  )
  const meters = compare(last, replay.sums)
  const equal = meters.every(({ meter, sum }) => meter === sum)
  const { changes, opened } = replay
  const found = { equal, meters, changes, opened, logs, epochs }
  if (flags.json) printJson(io, found)
  else io.stdout.write(`${report(io, found).join('\n')}\n`)
  if (!equal) return EXIT.failed
  return logs.every(({ held, size }) => held === size) ? EXIT.ok : EXIT.incomplete
}

type Row = { capability: string; meter: number; sum: number }

function compare({ meters }: Reading, sums: ReadonlyMap<string, number>): Row[] {
  const read = new Map(meters.map(({ capability, millionths }) => [capability, millionths]))
  return [...new Set([...read.keys(), ...sums.keys()])].sort().map((capability) => ({
    capability,
    meter: read.get(capability) ?? 0,
    sum: sums.get(capability) ?? 0,
  }))
}

function report(
  io: Io,
  found: {
    equal: boolean
    meters: Row[]
    changes: number
    opened: number
    logs: HeldLog[]
    epochs: Epochs
  },
): string[] {
  const paint = painter(io, 'stdout')
  const number = (millionths: number) => (millionths / 1_000_000).toFixed(6).padStart(14)
  const { equal, meters, changes, opened, logs, epochs } = found
  return [
    ...logs.map(
      ({ held, origin, size }) =>
        `log          ${plainLine(origin)}, ${size} leaves; ${held === size ? 'all are those of a checkpoint given' : `${size - held} are covered by no checkpoint given (--checkpoint)`}`,
    ),
    `epochs       ${epochs.ended} ended, each around its sessions; ${epochs.open.length} without an end in these leaves`,
    `changes      ${changes} in these leaves, ${opened} opened; the others are of other authorities`,
    ...meters.map(
      ({ capability, meter, sum }) =>
        `${number(sum)}  ${plainLine(capability)}${meter === sum ? '' : paint('red', `, but the reading says ${number(meter).trim()}`)}`,
    ),
    equal
      ? paint('green', 'equal: the reading is the sum of what the log records')
      : paint('red', 'not equal: the reading is not the sum of what the log records'),
  ]
}

async function lines<T>(
  io: Io,
  path: string,
  what: string,
  parse: (line: string) => T,
): Promise<T[]> {
  const all = fromUtf8(await open(io, path, what)).split('\n')
  if (all.pop() !== '')
    throw new UsageError(`${path} does not end in a line feed: is it whole?`, what)
  return all.map(parse)
}

async function open(io: Io, path: string, what: string): Promise<Uint8Array> {
  return readFile(resolve(io.cwd, path)).catch((error: Error) => {
    throw new UsageError(`cannot read the ${what}: ${error.message}`, what)
  })
}
