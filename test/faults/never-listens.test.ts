// A server that does not listen has the time that the deployment gives it, and the embassy says what would give it more.
// Mutants: the deadline a constant; no deadline.
import { expect, test } from 'vitest'
import { World } from '../support/instance.ts'

test('a workload that listens to itself alone is given up after limits.listen_ms', async () => {
  const world = World.start({
    workload: 'noop',
    env: { HOST: '127.0.0.1' },
    limits: { listen_ms: 300 },
  })
  await expect(world).rejects.toThrow('within 300 ms; one that loads its model first needs more')
})
