// OpenAI's SDK and Vercel's AI SDK, unmodified, against a running instance with the real model: with only the base URL
// changed, and through our fetch, buffered and streamed.
import { createOpenAI } from '@ai-sdk/openai'
import { createSealedFetch, verdictOf } from '@sealed/client'
import { streamText } from 'ai'
import OpenAI, { APIError, type ClientOptions } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { World } from './support/instance.ts'

let world: World
const verdicts: string[] = []
beforeAll(async () => {
  world = await World.start({ workload: 'reference' })
})
afterAll(() => world?.close())

const model = 'sealed-demo'
const messages = [{ role: 'user' as const, content: 'What is a lighthouse?' }]
const base = () => ({ baseURL: `${world.url}/v1`, apiKey: 'none' })
const plain = (options: ClientOptions = {}) => new OpenAI({ ...base(), ...options })
const sealedFetch = async (strict = false) =>
  createSealedFetch({
    gateway: world.url,
    policy: await world.policy(),
    strict,
    onVerdict: ({ outcome }) => {
      verdicts.push(outcome)
    },
  })
const sealed = async (strict?: boolean) => plain({ fetch: await sealedFetch(strict) })

const asks: [string, () => Promise<OpenAI>][] = [
  ['with only its base URL changed', async () => plain()],
  ['through a sealed fetch', () => sealed()],
  ['through a strict one', () => sealed(true)],
]

describe('the openai SDK', () => {
  test.each(asks)('%s gives the same answer buffered and streamed', async (_, connect) => {
    const openai = await connect()
    const whole = await openai.chat.completions.create({ model, messages, seed: 1 })
    const said = whole.choices[0]!.message.content
    expect(said).toMatch(/\w+/)
    let streamed = ''
    let pieces = 0
    const stream = await openai.chat.completions.create({ model, messages, seed: 1, stream: true })
    for await (const chunk of stream) {
      streamed += chunk.choices[0]?.delta.content ?? ''
      pieces += 1
    }
    expect(streamed).toBe(said)
    expect(pieces).toBeGreaterThan(2)
  })

  test('gets a verdict on each sealed answer', async () => {
    verdicts.length = 0
    const fetch = await sealedFetch()
    const response = await fetch(`${world.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages }),
    })
    await response.text()
    expect((await verdictOf(response)).outcome).toBe('verified')
    expect(verdicts).toEqual(['verified'])
  })

  test('runs its stream helper to the end over a stapled stream', async () => {
    const runner = plain().chat.completions.stream({ model, messages })
    const completion = await runner.finalChatCompletion()
    expect(completion.choices[0]!.message.content).toMatch(/\w+/)
  })

  test('tells a model that nobody serves, and does not ask again', async () => {
    const failure = await plain()
      .chat.completions.create({ model: 'gpt-0', messages })
      .catch((error: APIError) => error)
    expect(failure).toBeInstanceOf(APIError)
    expect(failure).toMatchObject({ status: 404, code: 'workload.unknown' })
  })

  test('lists the models', async () => {
    const ids: string[] = []
    for await (const { id } of plain().models.list()) ids.push(id)
    expect(ids).toContain(model)
  })
})

describe('Vercel’s AI SDK', () => {
  test.each([
    ['with only its base URL changed', false],
    ['through a sealed fetch', true],
  ])('%s streams a text', async (_, isSealed) => {
    const provider = createOpenAI({ ...base(), ...(isSealed && { fetch: await sealedFetch() }) })
    const { textStream } = streamText({ model: provider.chat(model), messages })
    let text = ''
    for await (const piece of textStream) text += piece
    expect(text).toMatch(/\w+/)
  })
})
