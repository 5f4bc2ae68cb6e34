// A request that a workload refuses: the answer is withheld where it must be metered, and the replica goes on, so that no
// caller can have replicas destroyed, and their models loaded again, by asking what is refused.
// Mutants: let go before the leaf is durable (`early` in `checkSettled`); let go of after a failure of the workload's own;
// destroyed as before; kept sealed for good.
import type { SealedError } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EmbassyWorld } from '../test-support/embassy-world.ts'
import { ARMS, FaultRuns } from '../test-support/fault-runs.ts'
import { checkSettled } from '../test-support/whole.ts'

let runs: FaultRuns
beforeAll(async () => {
  runs = await FaultRuns.make({
    ask: async (world) => {
      const refused = () =>
        answered(world, 400).catch((error: SealedError) => {
          if (error.code !== 'workload.failed') throw error
        })
      return Promise.allSettled([refused(), world.session(), refused(), world.session()])
    },
    check: checkSettled,
  })
})
afterAll(() => runs?.close())

/** One session whose workload answers so, and hands nothing over. */
async function answered(world: EmbassyWorld, status: number): Promise<never> {
  const { id } = await world.begin()
  await world.sessions.commit(id, { output_bytes: 1, output_sha256: 'ab'.repeat(32), status })
  throw new Error('it was given out')
}

const standing = ({ fleet }: EmbassyWorld) =>
  fleet.replicas.map(({ index, generation }) => [index, generation])

async function freshWorld(): Promise<EmbassyWorld> {
  const world = new EmbassyWorld(await runs.copy())
  await world.start()
  return world
}

test('costs no replica: the same ones serve who comes next', async () => {
  const world = await freshWorld()
  const before = standing(world)
  for (let i = 0; i < 5; i++)
    await expect(answered(world, 400 + i)).rejects.toMatchObject({
      code: 'workload.failed',
      receipt: expect.any(String),
    })
  await Promise.all([world.session(), world.session()])
  expect(standing(world)).toEqual(before)
  const aborts = world.later().flatMap(({ statements }) => statements.at(-1)!)
  expect(aborts.filter(({ type }) => type === 'session.aborted')).toHaveLength(5)
  await checkSettled(world)
  await world.stop()
})

test('what the workload fails at by itself costs it', async () => {
  const world = await freshWorld()
  const before = standing(world)
  await expect(answered(world, 500)).rejects.toMatchObject({ code: 'workload.failed' })
  await Promise.all([world.session(), world.session()])
  expect(standing(world)).not.toEqual(before)
  await checkSettled(world)
  await world.stop()
})

// Each statement of SQLite by itself: faults.test.ts.
test.each(ARMS.filter(([name]) => name !== 'of SQLite'))(
  'it is let go of after its leaf, or destroyed, when the k-th call fails: %s',
  async (_, _least, arm) => {
    expect(await runs.forAllK(arm)).toBeGreaterThan(0)
  },
  240_000,
)
