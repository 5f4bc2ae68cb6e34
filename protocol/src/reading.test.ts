// Meters summed up again from the log: what one opening too many, too few or too large does.
// Mutants: without taking an opened digest out of the list, one opening counts twice; with the salt left out of the digest
// no opening fits; without the check for two leaves of one session a doubled leaf doubles what can be opened.
import { describe, expect, it } from 'vitest'
import { fromBase64url, randomBytes, toBase64url, toHex } from './bytes.ts'
import { canonicalize } from './json.ts'
import { changeBytes, MAX_OPENINGS, type Opening, parseReading, replayMeters } from './reading.ts'
import { type SessionLeaf, saltedDigest } from './statement.ts'

const unproven = (message: RegExp) =>
  expect.objectContaining({ code: 'reading.unproven', message: expect.stringMatching(message) })

const opening = (capability: string, millionths: number, session: string): Opening => ({
  capability,
  millionths,
  salt: toBase64url(randomBytes(32)),
  session,
})
const leafOf = async (session: string, openings: readonly Opening[]): Promise<SessionLeaf> => {
  const changes = await Promise.all(
    openings.map((one) => {
      const { salt, ...change } = one
      return saltedDigest(fromBase64url(salt), changeBytes(change))
    }),
  )
  const applied = { type: 'registry.applied', changes } as unknown as SessionLeaf['statements'][0]
  return { kind: 'session', session, statements: [applied], version: 1 }
}
const [one, two] = [toHex(randomBytes(16)), toHex(randomBytes(16))]
const mine = [opening('a/x', 1_000_000, one), opening('a/y', 0, one), opening('a/x', 250_001, two)]
const others = [opening('b/z', 7, one)]
const leaves = await Promise.all([
  leafOf(one, [mine[0]!, mine[1]!, others[0]!]),
  leafOf(two, [mine[2]!]),
])

describe('replay', () => {
  it('sums to the last millionth, and counts what is not opened', async () => {
    const { sums, changes, opened } = await replayMeters(leaves, mine)
    expect([...sums]).toEqual([
      ['a/x', 1_250_001],
      ['a/y', 0],
    ])
    expect([changes, opened]).toEqual([4, 3])
  })

  it.each<[string, RegExp, Opening[]]>([
    ['one given twice', /opened before/, [mine[0]!, mine[0]!]],
    ['another amount', /no change/, [{ ...mine[0]!, millionths: 999_999 }]],
    ['another capability', /no change/, [{ ...mine[0]!, capability: 'a/y' }]],
    ['another salt', /no change/, [{ ...mine[0]!, salt: mine[1]!.salt }]],
    ['another session', /no change/, [{ ...mine[0]!, session: two }]],
    ['a session that is not here', /no leaf/, [{ ...mine[0]!, session: 'f'.repeat(32) }]],
  ])('refuses %s', async (_, message, openings) => {
    await expect(replayMeters(leaves, openings)).rejects.toThrow(unproven(message))
  })

  it('refuses a session with two leaves', async () => {
    await expect(replayMeters([...leaves, leaves[0]!], mine)).rejects.toThrow(
      unproven(/two leaves/),
    )
  })
})

describe('a reading', () => {
  const authority = 'a'.repeat(32)
  const meter = { capability: `${authority}/x`, millionths: 1 }
  const reference = { capability: `${authority}/x`, count: 1, model: 'b'.repeat(64) }
  const other = `${'b'.repeat(32)}/x`
  const made = (change: { meters?: object[]; openings?: object[]; references?: object[] }) => {
    const { references = [reference], ...rest } = change
    const counted = Object.fromEntries(
      'boots egress_open_ms output_bytes_unmetered registry_version rollbacks sessions sessions_unmetered'
        .split(' ')
        .map((name) => [name, 0]),
    )
    const coverage = { ...counted, origin: 'o', references }
    const opened = { ...mine[0]!, capability: meter.capability }
    const reading = { authority, coverage, meters: [meter], openings: [opened], version: 1 }
    return canonicalize({ ...reading, ...rest })
  }

  it('is of its authority’s own capabilities', () => {
    expect(parseReading(made({})).meters).toEqual([meter])
    for (const change of [
      { meters: [{ ...meter, capability: other }] },
      { openings: [{ ...mine[0]!, capability: other }] },
      { references: [{ ...reference, capability: other }] },
    ])
      expect(() => parseReading(made(change))).toThrow(/own capabilities/)
  })

  it('has one meter for each', () => {
    expect(() => parseReading(made({ meters: [meter, meter] }))).toThrow(/one meter/)
  })
})

it('a reading is bounded', () => {
  const reading = {
    authority: 'a'.repeat(32),
    coverage: {},
    meters: [],
    openings: Array(MAX_OPENINGS + 1).fill(mine[0]),
    version: 1,
  }
  expect(() => parseReading(JSON.stringify(reading))).toThrow()
})
