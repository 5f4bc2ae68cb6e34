// A workload that takes part itself, on a running instance: ciphertext goes in, it asks for the key over its link, and its
// answer is given out because it is the one that it committed to. Mutants: embassy/src/server/workload-door.test.ts.
import { ask } from '@sealed/client'
import { unspliceEvents } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../scripts/world/run.ts'
import { CHAT, statementOf, statementsOf, World } from './support/instance.ts'

let world: World
beforeAll(async () => {
  world = await World.start({ workload: 'noop', cooperative: true })
})
afterAll(() => world?.close())

const revealedTo = (receipt: string) => statementOf(receipt, 'input_key.revealed').to

test('an envelope’s input goes to it unread, and the receipt verifies', async () => {
  const { receipt, verdict, output } = await world.ask('What is a compiler?')
  expect(verdict.outcome).toBe('verified')
  expect(revealedTo(receipt)).toBe('workload')
  expect(new TextDecoder().decode(output)).toContain('"content":"ok"')
  expect(statementsOf(receipt).map(({ type }) => type)).toContain('activations.observed')
})

test('so does a plain request, whole and streamed', async () => {
  const whole = await world.chat('What is a compiler?')
  expect([whole.status, revealedTo(whole.receipt!)]).toEqual([200, 'workload'])
  const streamed = await fetch(`${world.url}${CHAT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: world.body('What is a compiler?', { stream: true }),
  })
  const bytes = new Uint8Array(await streamed.arrayBuffer())
  const receipt = unspliceEvents(bytes)!.receipt
  expect(revealedTo(receipt)).toBe('workload')
})

test('an envelope’s answer may be streamed too', async () => {
  const pieces: Uint8Array[] = []
  const { verdict } = await ask({
    attested: world.attested,
    endpoint: CHAT,
    body: world.body('What is a compiler?', { stream: true, chunks: 5, every_ms: 5 }),
    stream: true,
    onEvent: (event) => {
      if (event.type === 'data') pieces.push(event.bytes)
    },
  })
  expect(verdict.outcome).toBe('verified')
  expect(pieces.length).toBeGreaterThan(2)
})

test('the embassy listens on the host’s end of the link alone', async () => {
  const listening = (await run('ss', ['-Hltn']))
    .split('\n')
    .map((line) => line.split(/ +/)[3] ?? '')
  const at = listening.filter((address) => address.endsWith(':7100'))
  expect(at.length).toBeGreaterThan(0)
  for (const address of at) expect(address).toMatch(/^198\.19\./)
})
