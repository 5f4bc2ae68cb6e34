// An instance that is stopped while its replicas are being replaced: whatever the engine was asked for is not left
// behind. `World.close` looks for containers, links, tables, mounts and the TPM.
// Mutant: without waiting for births in `Fleet.stop` (embassy/src/replicas/fleet.ts) a pause container stays.
import { test } from 'vitest'
import { World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'

test.each([
  ['pause', 'gone'],
  ['pause', 'reborn'],
  ['workload', 'reborn'],
] as const)('stopped when the %s container is %s', async (kind, until) => {
  const world = await World.start({ workload: 'hostile' })
  try {
    const moment = await new Machine(world).watch(0, kind, until)
    const crashed = world.chat('x', { behave: 'crash' })
    await moment()
    await Promise.all([world.close(), crashed.catch(() => {})])
  } catch (error) {
    await world.close()
    throw error
  }
})
