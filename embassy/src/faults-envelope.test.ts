// As faults.test.ts, at the envelope door: uses, writes and readings by an authority, and a client that leaves. Beyond
// what must always be so there: a nonce is burned with an opening and never without, a key is revealed once, an envelope
// is answered once, and a reading is given whole, of exactly what the log held, or not at all.
// Mutants: without `nonce` in `#openOnDisk` of sessions.ts, or its row in `#open` of operations.ts, what is sent again is
// written and counted again; without the `delete` in `#forget` a nonce is burned by a session that never opened; with
// `begin` allowed in another state of machine.ts keys are given twice; without `drop` in `#read` a reading that failed
// stays open until a restart; without that of `recover` its end does not fit the grammar; without `recover` nothing ends
// that was open when the process was killed; a reading counted in `cover` is of more than the log held before it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbassyWorld } from './test-support/embassy-world.ts'
import { EnvelopeClient } from './test-support/envelope-client.ts'
import { ARMS, FaultRuns } from './test-support/fault-runs.ts'
import { checkWhole, settled } from './test-support/whole.ts'
import { checkEnvelopes, replay } from './test-support/whole-envelopes.ts'

const TIMEOUT_MS = 240_000
let runs: FaultRuns

beforeAll(async () => {
  runs = await FaultRuns.make({ ask, check })
})
afterAll(() => runs?.close())

async function ask(world: EmbassyWorld) {
  const client = new EnvelopeClient(world)
  const beside = [client.use([1, 0]), client.write([1, 1]), client.read(), client.leave()]
  const asked: PromiseSettledResult<unknown>[] = await Promise.allSettled(beside)
  return asked.concat(await Promise.allSettled([client.use([0, 1]), client.read()]))
}

async function check(world: EmbassyWorld): Promise<void> {
  await settled(world)
  await replay(world)
  await checkEnvelopes(world, await checkWhole(world))
}

describe('nonces, keys, answers and readings stay what they must be when the k-th call fails', () => {
  test.each(ARMS)(
    '%s',
    async (_, least, arm) => {
      expect(await runs.forAllK(arm)).toBeGreaterThan(least)
    },
    TIMEOUT_MS,
  )

  test('for want of a page on disk', { timeout: TIMEOUT_MS }, async () => {
    expect(await runs.forAllPages()).toBeGreaterThan(0)
  })
})
