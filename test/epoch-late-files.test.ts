// Callers that leave in the middle, many of them, in one epoch of one replica. What the workload hands over for them comes
// late and is nobody's; it must not fill the room that the others need.
// Mutants: `discard` not called in `#left` of fleet.ts; `leave` of epoch.ts that does not remember.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHAT, eventually, statementOf, World } from './support/instance.ts'

const AT_A_TIME = 16
/** Far more of them than there may be files. */
const ROUNDS = 100
/** Those of the last round may still come. */
const STRAY = AT_A_TIME

let world: World
beforeAll(async () => {
  world = await World.start({
    epoch: { max_ms: 3_600_000, idle_ms: 3_600_000, sessions: AT_A_TIME + 1 },
    limits: { caller_sessions: 100, queue: 100 },
  })
})
afterAll(() => world?.close())

/** Leaves when the first piece of a stream has come. */
async function leaveEarly(): Promise<void> {
  const leave = new AbortController()
  const response = await fetch(`${world.url}${CHAT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: world.body('never mind', { stream: true, chunks: 100, every_ms: 20 }),
    signal: leave.signal,
  })
  await response.body!.getReader().read()
  leave.abort()
}

const handedOver = () =>
  readdir(join(world.instance.paths.runtime, 'activations', '0')).then((names) => names.length)

test('those who leave cost the others nothing', async () => {
  const before = await world.chat('hello')
  for (let round = 0; round < ROUNDS; round++)
    await Promise.all(Array.from({ length: AT_A_TIME }, leaveEarly))
  const after = await world.chat('hello')
  expect(after.status).toBe(200)
  const [epoch, same] = [before, after].map(
    ({ receipt }) => statementOf(receipt!, 'seal.kept').epoch,
  )
  expect(same).toBe(epoch)
  await eventually('the room to be free', async () => {
    await world.chat('hello')
    return (await handedOver()) <= STRAY ? true : undefined
  })
})
