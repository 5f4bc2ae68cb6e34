// Exported leaves against checkpoints: every leaf is there, in its place, and is the one that was logged.
// Mutants: without the index check a missing leaf passes where no checkpoint is given; without comparing the root an
// altered leaf does.
import { describe, expect, it } from 'vitest'
import { utf8 } from './bytes.ts'
import { canonicalize } from './json.ts'
import { holdEntries, type LogEntry, parseLogEntry } from './log-entries.ts'
import { leafHash, merkleRoot } from './merkle.ts'

const origin = 'sealed/0011223344556677'
const entries: LogEntry[] = Array.from({ length: 5 }, (_, index) => ({
  index,
  leaf: canonicalize({ number: index }),
  origin,
}))
const rootOf = async (size: number) =>
  merkleRoot(await Promise.all(entries.slice(0, size).map(({ leaf }) => leafHash(utf8(leaf)))))
const checkpoint = async (size: number) => ({ origin, size, root: await rootOf(size) })
const damaged = (message: RegExp) =>
  expect.objectContaining({ code: 'log.damaged', message: expect.stringMatching(message) })

describe('leaves', () => {
  it('are held as far as a checkpoint reaches', async () => {
    expect(await holdEntries(entries, [await checkpoint(3)])).toEqual([
      { origin, size: 5, held: 3 },
    ])
    expect(await holdEntries(entries, [])).toEqual([{ origin, size: 5, held: 0 }])
  })

  it.each<[string, RegExp, LogEntry[]]>([
    ['missing in the middle', /leaf 2 is missing/, entries.toSpliced(2, 1)],
    ['missing at the end', /4 of 5/, entries.slice(0, 4)],
    ['in another order', /missing/, entries.toSorted((a, b) => b.index - a.index)],
    ['altered', /not those/, entries.with(1, { ...entries[1]!, leaf: '{"number":9}' })],
    ['of another log', /no leaf/, entries.map((one) => ({ ...one, origin: 'sealed/other' }))],
  ])('%s are refused', async (_, message, given) => {
    await expect(holdEntries(given, [await checkpoint(5)])).rejects.toThrow(damaged(message))
  })

  it('are lines of canonical JSON with these members', () => {
    const [entry] = entries
    expect(parseLogEntry(canonicalize(entry))).toEqual(entry)
    for (const line of ['{}', `${canonicalize(entry)} `, canonicalize({ ...entry, more: 1 })])
      expect(() => parseLogEntry(line)).toThrow()
  })
})
