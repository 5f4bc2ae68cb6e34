// Ctrl-C: the terminal signals every process of an instance, and who started them tells each once more.
// Mutant: without `stopping` in embassy/src/main.ts the second signal ends it before it has taken down what it built.
import { test } from 'vitest'
import { World } from './support/instance.ts'

test('an instance that is interrupted leaves nothing behind', async () => {
  const world = await World.start()
  const { embassy, gateway } = world.instance
  for (const { pid } of [embassy, gateway]) process.kill(pid!, 'SIGINT')
  await world.close()
})
