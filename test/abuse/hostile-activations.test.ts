// Activations that are wrong, late, several or none. Where metering is mandatory the answer is withheld, and what was
// withheld is an anomaly in every reading, never zero use.
// Mutants: without the check for NaN and infinity in the embassy's safetensors.ts both are metered; without `O_NOFOLLOW`
// in sweep.ts "symlink" reads a file of the host; without the `Refused` for missing activations in `observeFor`
// (judge.ts) "none" is answered; without `clear` before the reveal a late file is taken for the next session's.
import { write } from '@sealed/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAPABILITY, Failures, SAMPLE } from '../support/failing-session.ts'
import { CHAT, statementOf, World } from '../support/instance.ts'

let world: World
const failures = new Failures(() => world)

beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    replicas: 2,
    limits: { workload_ms: 2_000, activations_ms: 800 },
  })
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterAll(() => world?.close())

const INVALID = { code: 'activations.invalid', reasons: ['activations.invalid'] }
const MISSING = { code: 'activations.missing', reasons: ['activations.missing'] }

describe('an answer is withheld when its activations are', () => {
  const cases: [string, unknown, typeof INVALID][] = [
    ['not a number', 'activations-nan', INVALID],
    ['infinite', 'activations-infinity', INVALID],
    ['of another shape than their bytes', 'activations-wrong-shape', INVALID],
    ['of two dimensions', 'activations-wrong-rank', INVALID],
    ['of no tokens', 'activations-empty-shape', INVALID],
    ['of a shape that overflows', 'activations-overflowing-shape', INVALID],
    ['zero', 'activations-zero', INVALID],
    ['integers', 'activations-wrong-dtype', INVALID],
    ['outside the file', 'activations-outside-file', INVALID],
    ['from end to start', 'activations-backward-offsets', INVALID],
    ['cut', 'activations-truncated', INVALID],
    ['cut in their header', 'activations-truncated-header', INVALID],
    ['nothing', 'activations-empty', INVALID],
    ['under a header of 2^62 bytes', 'activations-huge-header', INVALID],
    ['text', 'activations-not-safetensors', INVALID],
    ['followed by more', 'activations-trailing-bytes', INVALID],
    ['there twice', 'activations-two-files', INVALID],
    ['among a thousand files', 'activations-many-files', INVALID],
    ['a link to a file of the host', 'activations-symlink', INVALID],
    ['a directory', 'activations-directory', INVALID],
    ['absent', 'activations-none', MISSING],
    ['never finished', 'activations-part-only', MISSING],
    ['locked', 'activations-locked', MISSING],
    ['too late', { name: 'activations-late', ms: 1_500 }, MISSING],
  ]

  // The doors share all that judges activations: every second case goes through the other one.
  test.each(cases.map((one, i) => [...one, i % 2 === 0 ? 'plain' : 'sealed'] as const))(
    '%s',
    async (_, behave, expected, door) => {
      const before = await world.meter(CAPABILITY)
      await failures[door](behave, expected)
      expect(await world.meter(CAPABILITY)).toBe(before)
    },
  )

  test('which every reading says', async () => {
    const { coverage } = await world.reading()
    expect(coverage.sessions_unmetered).toBe(failures.spent.size)
    expect(failures.spent.size).toBe(cases.length)
  })
})

/** By how much the sample's meter moves while `work` runs. */
async function metered(work: () => Promise<unknown>): Promise<number> {
  const before = (await world.meter(CAPABILITY))!
  await work()
  return (await world.meter(CAPABILITY))! - before
}

describe('an answer is given, and metered once, when its activations are', () => {
  test.each<[string, unknown]>([
    ['late but in time', { name: 'activations-late', ms: 200 }],
    ['in another order of tensors', 'activations-good-layers'],
    ['usual', undefined],
  ])('%s', async (_, behave) => {
    const once = await metered(async () => {
      const reply = await world.chat(SAMPLE, { behave })
      expect(reply.status).toBe(200)
      expect(statementOf(reply.receipt!, 'registry.applied').metered).toBe(true)
      failures.expectFresh(reply.receipt!)
    })
    expect(once).toBe(1_000_000)
  })

  test.each(['activations-good-bf16', 'activations-good-f16'])(
    '%s: nearly the same',
    async (behave) => {
      const once = await metered(async () => {
        expect((await world.chat(SAMPLE, { behave })).status).toBe(200)
      })
      expect(once).toBeGreaterThan(990_000)
      expect(once).toBeLessThanOrEqual(1_000_000)
    },
  )
})

test('a file that one session left is not the next one’s', async () => {
  await Promise.all([world.chat(SAMPLE), world.chat(SAMPLE)])
  const before = await world.meter(CAPABILITY)
  await failures.plain('activations-none', MISSING)
  await failures.sealed('activations-none', MISSING)
  expect(await world.meter(CAPABILITY)).toBe(before)
})

test('overwritten again and again: judged on one copy, or refused', async () => {
  for (let i = 0; i < 3; i++) {
    const once = await metered(async () => {
      const reply = await world.chat(SAMPLE, {
        behave: { name: 'activations-changing', ms: 300 },
      })
      if (reply.status !== 200) expect([reply.status, reply.code]).toEqual([424, INVALID.code])
    })
    // The good ones, their negatives, or nothing; never a mixture that was read in two pieces.
    expect([0, 1_000_000]).toContain(once)
  }
})
