// Vercel's AI SDK, unmodified, over a sealed fetch, in the convention of its providers: `createOpenAI({ baseURL, fetch })`.
import { createOpenAI } from '@ai-sdk/openai'
import { utf8 } from '@sealed/protocol'
import { embed, generateText, streamText } from 'ai'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bends, errorResponse, serve } from '../test-support/gateway-double.ts'
import { MachineDouble, NOW } from '../test-support/machine-double.ts'
import { aborted } from '../test-support/session-double.ts'
import { createSealedFetch, type SealedFetchOptions } from './sealed-fetch.ts'

const gateway = 'http://127.0.0.1:8080'
const prompt = 'What is six times seven?'
let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})

function connect(bends: Bends = {}, options: Partial<SealedFetchOptions> = {}) {
  const double = serve(machine, bends)
  const outcomes: string[] = []
  const fetch = createSealedFetch({
    gateway,
    policy: machine.policy,
    fetch: double.fetch,
    now: () => NOW,
    onVerdict: ({ outcome }, { endpoint }) => void outcomes.push(`${outcome} ${endpoint}`),
    ...options,
  })
  const openai = createOpenAI({ baseURL: `${gateway}/v1`, apiKey: 'sk-sealed-sdk', fetch })
  const posts = () => double.calls.filter((call) => call.startsWith('POST')).length
  return { double, model: openai.chat('demo'), openai, outcomes, posts }
}

/** What a user has read of a stream when it ended, and the errors that he was told of, by code or status. */
async function readThrough(model: ReturnType<typeof connect>['model'], abortSignal?: AbortSignal) {
  const errors: unknown[] = []
  const note = (error: unknown) => {
    const { cause, code, statusCode } = error as Record<string, unknown>
    errors.push((cause as { code?: string })?.code ?? code ?? statusCode)
  }
  const { textStream } = streamText({
    model,
    prompt,
    ...(abortSignal && { abortSignal }),
    onError: ({ error }) => note(error),
  })
  let text = ''
  try {
    for await (const piece of textStream) text += piece
  } catch (error) {
    note(error)
  }
  return { text, errors }
}

const forged: Bends['reply'] = (_session, honest) => ({
  ...honest,
  output: utf8(new TextDecoder().decode(honest.output).replace('-two', '-six')),
})

describe('the AI SDK over a sealed fetch', () => {
  it('gets a whole answer and a streamed one, each with its verdict', async () => {
    const { double, model, outcomes } = connect()
    const { text, response } = await generateText({ model, prompt })
    expect(text).toBe('Forty-two.')
    expect(response.headers?.['sealed-receipt-id']).toBe(double.sessions[0]!.id)
    expect(await readThrough(model)).toEqual({ text: 'Forty-two.', errors: [] })
    expect(outcomes).toEqual(Array(2).fill('verified /v1/chat/completions'))
  })

  it('gets embeddings', async () => {
    const body = {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.5, -0.5] }],
      model: 'demo',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    }
    const { openai, outcomes } = connect({ output: () => utf8(JSON.stringify(body)) })
    const { embedding } = await embed({ model: openai.embedding('demo'), value: 'seal' })
    expect(embedding).toEqual([0.5, -0.5])
    expect(outcomes).toEqual(['verified /v1/embeddings'])
  })

  it('is told of a cut stream, and of one that was not the one computed', async () => {
    for (const parts of [4, 6, 7]) {
      const cut = connect({ frames: (frames) => frames.slice(0, parts) })
      expect((await readThrough(cut.model)).errors).toEqual(['response.truncated'])
      expect(cut.posts()).toBe(1)
    }
    const wrong = connect({ reply: forged })
    expect(await readThrough(wrong.model)).toEqual({
      text: 'Forty-six.',
      errors: ['verdict.failed'],
    })
    expect(wrong.outcomes).toEqual(['failed /v1/chat/completions'])
  })

  it('shows nothing of a forged stream where it is strict', async () => {
    const { model, posts } = connect({ reply: forged }, { strict: true })
    const { errors, text } = await readThrough(model)
    expect(text).toBe('')
    expect(errors).toEqual([424])
    expect(posts()).toBe(1)
    expect(await readThrough(connect({}, { strict: true }).model)).toEqual({
      text: 'Forty-two.',
      errors: [],
    })
  })

  it('is told of a failure after the head, and sends nothing again', async () => {
    const { model, posts } = connect({
      reply: (session, honest) => ({
        ...honest,
        statements: aborted(machine)(session).statements,
      }),
      final: ({ receipt }) => ({
        error: { code: 'workload.failed', message: 'the workload broke off' },
        ...(receipt !== undefined && { receipt }),
      }),
    })
    expect((await readThrough(model)).errors).toEqual(['workload.failed'])
    expect(posts()).toBe(1)
  })

  it('sends nothing again after a failure after the reveal', async () => {
    const { model, posts } = connect({ reply: (session) => aborted(machine)(session) })
    await expect(generateText({ model, prompt })).rejects.toMatchObject({ statusCode: 424 })
    expect(posts()).toBe(1)
  })

  it('goes on by itself after a refusal at the door', async () => {
    let refusals = 1
    const before: Bends['before'] = (url) =>
      url.pathname === '/v1/sealed' && refusals-- > 0
        ? errorResponse(429, 'limit.rate', 'too many', { 'retry-after': '0' })
        : undefined
    const { model, posts } = connect({ before }, { retry: { pause: async () => {} } })
    expect((await generateText({ model, prompt })).text).toBe('Forty-two.')
    expect(posts()).toBe(2)
  })

  it('closes the connection when the user aborts', async () => {
    const gate = Promise.withResolvers<void>()
    const controller = new AbortController()
    const { double, model, posts } = connect({
      pace: (part) => {
        if (part <= 3) return
        controller.abort()
        return gate.promise
      },
    })
    await readThrough(model, controller.signal)
    expect(double.cancelled).toBe(1)
    expect(posts()).toBe(1)
    gate.resolve()
  })
})
