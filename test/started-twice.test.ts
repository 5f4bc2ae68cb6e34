// An instance that is started again while it runs: the second start is refused, and the first goes on.
// Mutant: without `reapSwtpm` in scripts/up.ts the second takes the runtime directory from under the first.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { up } from '../scripts/up.ts'
import { World } from './support/instance.ts'

let world: World
beforeAll(async () => {
  world = await World.start()
})
afterAll(() => world?.close())

test('the first serves on', async () => {
  await expect(up(world.instance.paths.state, world.options)).rejects.toThrow(
    /is in use: .* end that one first \(kill \d+\)/,
  )
  expect((await world.chat('still there')).status).toBe(200)
})
