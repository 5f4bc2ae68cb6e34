// An unmodified llama-server behind the seal, by the workload file that this repository gives to operators: its answers
// are the demo model's, sealed, metered by what the tap hands over, and proven at both doors. What the tap hands over:
// llama-tap.test.ts. A workload that hands nothing over: abuse/hostile-activations.test.ts.
// Mutants: another LD_PRELOAD in workload.json; tap.c without `llama_memory_seq_pos_min`; gguf.ts without `interleave`.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask, write } from '@sealed/client'
import { fromBase64url, unspliceEvents, verifyReceipt } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import samples from '../scripts/demo-samples.json' with { type: 'json' }
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { answerTo, WIDTH } from './support/demo-answer.ts'
import { abortOf, CHAT, statementOf, typesOf, World } from './support/instance.ts'
import { buildLlamaImage } from './support/llama-cpp.ts'

const FILE = join(REPOSITORY, 'workloads', 'adapters', 'llama.cpp', 'workload.json')
/** As the demo demands it of the other capability. */
const MOST_OF_THE_OTHER = 200_000
const GREEDY = { model: 'model', temperature: 0, max_tokens: 64 }

let world: World
beforeAll(async () => {
  const file = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, unknown>
  const own = { image: await buildLlamaImage(), file }
  world = await World.start({ own, limits: { activations_ms: 500 } })
})
afterAll(() => world?.close())

const contentOf = (output: Uint8Array): string =>
  JSON.parse(new TextDecoder().decode(output)).choices[0].message.content
const SEALED = [
  ...['request.received', 'seal.enforced', 'input_key.revealed', 'activations.observed'],
  ...['registry.applied', 'seal.checked', 'output.committed', 'seal.released'],
  'response.released',
]

test('an envelope is answered as by the demo, and the receipt verifies', async () => {
  for (const question of ['What is a horse?', 'What is a kluge?']) {
    const { text, sequence } = await answerTo(question)
    const { output, receipt, verdict } = await world.ask(question, { extra: GREEDY })
    expect([verdict.outcome, contentOf(output)]).toEqual(['verified', text])
    expect(typesOf(receipt)).toEqual(SEALED)
    const observed = statementOf(receipt, 'activations.observed')
    expect(observed).toMatchObject({ hidden: WIDTH, layers: 1, tokens: sequence.length })
  }
})

test('so is a plain request, whole and streamed', async () => {
  const { text } = await answerTo('What is a sheep?')
  const whole = await world.chat('What is a sheep?', GREEDY)
  expect([whole.status, contentOf(whole.bytes)]).toEqual([200, text])
  expect(typesOf(whole.receipt!)).toEqual(SEALED)

  const body = world.body('What is a sheep?', { ...GREEDY, stream: true })
  const response = await fetch(world.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  const { output, receipt } = unspliceEvents(new Uint8Array(await response.arrayBuffer()))!
  expect(saidIn(output)).toBe(text)
  expect(typesOf(receipt)).toEqual(SEALED)
  const { document, policy, now } = world.attested
  const salt = fromBase64url(response.headers.get('sealed-salt')!)
  const { checks } = await verifyReceipt(
    { document, receipt, input: body, output, salt },
    policy,
    now(),
  )
  expect(checks.filter(({ result }) => result === 'fail')).toEqual([])
})

/** The words of an event stream, joined. */
function saidIn(events: Uint8Array): string {
  const lines = new TextDecoder().decode(events).split('\n')
  return lines
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)).choices[0]?.delta.content ?? '')
    .join('')
}

test('an envelope’s answer may be streamed too', async () => {
  const { text } = await answerTo('What is a horse?')
  const { output, verdict } = await ask({
    attested: world.attested,
    endpoint: CHAT,
    body: world.body('What is a horse?', { ...GREEDY, stream: true }),
    stream: true,
  })
  expect([verdict.outcome, saidIn(output)]).toEqual(['verified', text])
})

test('what was written is metered as such, and hardly as the other capability', async () => {
  const [authority] = world.authorities
  const [[first, animals], [second, jargon]] = Object.entries(samples) as [
    [string, string[]],
    [string, string[]],
  ]
  const request = { attested: world.attested, endpoint: CHAT, authority }
  for (const [capability, questions] of Object.entries(samples))
    for (const question of questions)
      await write({ ...request, capability, body: world.body(question, GREEDY) })
  const meters = async () => {
    const { meters: rows } = await world.reading()
    return [first, second].map(
      (name) => rows.find(({ capability }) => capability.endsWith(`/${name}`))!.millionths,
    ) as [number, number]
  }
  let before = await meters()
  const used = async (question: string) => {
    const { verdict } = await world.ask(question, { extra: GREEDY })
    expect(verdict.outcome).toBe('verified')
    const [last, now] = [before, await meters()]
    before = now
    return [now[0] - last[0], now[1] - last[1]] as const
  }
  for (const question of animals.slice(0, 2)) {
    const [own, other] = await used(question)
    expect(own).toBe(1_000_000)
    expect(other).toBeLessThanOrEqual(MOST_OF_THE_OTHER)
  }
  for (const question of jargon.slice(0, 2)) {
    const [other, own] = await used(question)
    expect(own).toBe(1_000_000)
    expect(other).toBeLessThanOrEqual(MOST_OF_THE_OTHER)
  }
})

test('a request that it refuses is withheld as any other’s, and the next one is answered', async () => {
  const failure = await world.askToFail('What is a horse?', { extra: { ...GREEDY, n: 2 } })
  expect(failure.code).toBe('workload.failed')
  expect(abortOf(failure.receipt)).toBe('workload.refused')
  expect((await world.ask('What is a horse?', { extra: GREEDY })).verdict.outcome).toBe('verified')
})

test('a request for an earlier one’s state finds none', async () => {
  await world.ask('What is a dog?', { extra: GREEDY })
  const again = await world.ask('What is a dog?', { extra: { ...GREEDY, cache_prompt: true } })
  expect(JSON.parse(new TextDecoder().decode(again.output)).usage.prompt_tokens_details).toEqual({
    cached_tokens: 0,
  })
})
