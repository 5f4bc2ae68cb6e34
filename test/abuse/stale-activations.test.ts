// A workload whose activations come after its session has ended, where metering is optional and the session is answered
// without them: they are not the next session's.
// Mutant: without `isOwed` in embassy/src/session/sessions.ts the late file is metered in the session after it.
import { write } from '@sealed/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CAPABILITY, replicaOf, SAMPLE } from '../support/failing-session.ts'
import { CHAT, statementOf, World } from '../support/instance.ts'

const WAIT_MS = 2_000
let world: World

beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    metering: 'optional',
    limits: { activations_ms: WAIT_MS },
  })
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterAll(() => world?.close())

test('a file that comes too late for its session is not metered in the next one', async () => {
  const before = await world.meter(CAPABILITY)
  // The file is put in place while the second session waits for one of its own.
  const late = { name: 'activations-late', ms: WAIT_MS * 1.5 }
  const first = await world.chat(SAMPLE, { behave: late })
  const second = await world.chat(SAMPLE, { behave: 'activations-none' })
  for (const { receipt, status } of [first, second]) {
    expect(status).toBe(200)
    expect(statementOf(receipt!, 'registry.applied').metered).toBe(false)
  }
  expect(replicaOf(second.receipt!)).not.toBe(replicaOf(first.receipt!))
  expect(await world.meter(CAPABILITY)).toBe(before)
})

test('a workload that hands over in time keeps its replica', async () => {
  const [first, second] = [await world.chat(SAMPLE), await world.chat(SAMPLE)]
  expect(statementOf(first.receipt!, 'registry.applied').metered).toBe(true)
  expect(replicaOf(second.receipt!)).toBe(replicaOf(first.receipt!))
})
