// How long a workload's egress was open: every interval counts once, whoever it was that closed it. Mutants: `=` for `+=`
// in fleet.ts; not set to 0 once a session has stated it; left out of what is counted in the store.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeReceipt } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EmbassyWorld, newMachine } from '../test-support/embassy-world.ts'
import { FakeTpm } from '../test-support/fake-tpm.ts'

let directory: string
let world: EmbassyWorld
let now = 0
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealed-egress-'))
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  world = new EmbassyWorld(await newMachine(directory, new FakeTpm()))
  await world.start()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await world.stop()
  rmSync(directory, { recursive: true })
})

function statedIn(receipt: string): number {
  const enforced = decodeReceipt(receipt).leaf.statements[1]!
  if (enforced.type !== 'seal.enforced') throw new Error(enforced.type)
  return enforced.egress_open_ms
}
const counted = () =>
  world.inline.rows<{ egress_open_ms: number }>('SELECT egress_open_ms FROM coverage')[0]!
    .egress_open_ms

test('what was open before a session that came to nothing is stated by the next', async () => {
  now += 1_000
  await world.cancelled()
  await world.cancelled()
  now += 500
  const receipts = [await world.session(), await world.session()]
  expect(receipts.map(statedIn)).toEqual([1_500, 1_500])
  expect(counted()).toBe(3_000)
  expect(statedIn(await world.session())).toBe(0)
})

test('what an embassy that was killed had stated counts', async () => {
  now += 700
  await world.begin()
  const { machine } = world
  world.life.left = -1
  await world.bury()
  world = new EmbassyWorld(machine)
  await world.start()
  expect(counted()).toBe(700)
})
