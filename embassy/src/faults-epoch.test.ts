// As faults.test.ts, with sessions that share the sealed epoch of a replica: six at once in the places of two replicas, one
// of them left by its client, one whose workload failed, and one more. Mutants: session/epochs.test.ts.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbassyWorld } from './test-support/embassy-world.ts'
import { ARMS, FaultRuns } from './test-support/fault-runs.ts'
import { checkSettled } from './test-support/whole.ts'

const TIMEOUT_MS = 240_000
let runs: FaultRuns

beforeAll(async () => {
  runs = await FaultRuns.make({
    epoch: { max_ms: 60_000, sessions: 3 },
    ask: async (world) => {
      const inOrder = [1, 2, 3, 4].map((i) => world.session([i, 1]))
      const beside = [...inOrder, ended(world, 'client.gone'), ended(world, 'workload.failed')]
      const asked: PromiseSettledResult<unknown>[] = await Promise.allSettled(beside)
      return asked.concat(await Promise.allSettled([world.session()]))
    },
    check: checkSettled,
  })
})
afterAll(() => runs?.close())

async function ended(world: EmbassyWorld, reason: 'client.gone' | 'workload.failed') {
  const { id } = await world.begin()
  await world.sessions.abort(id, { reason, output_bytes: 0 })
}

describe('nothing is lost, counted twice or given out unproven in an epoch when the k-th call fails', () => {
  test.each(ARMS)(
    '%s',
    async (_, least, arm) => {
      expect(await runs.forAllK(arm)).toBeGreaterThan(least)
    },
    TIMEOUT_MS,
  )
})
