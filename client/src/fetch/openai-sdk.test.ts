// The openai package, unmodified, over a sealed fetch: what a user of it sees when all is well, and when it is not.
import { utf8 } from '@sealed/protocol'
import OpenAI, { APIError, APIUserAbortError } from 'openai'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bends, errorResponse, serve } from '../test-support/gateway-double.ts'
import { MachineDouble, NOW } from '../test-support/machine-double.ts'
import { aborted } from '../test-support/session-double.ts'
import { createSealedFetch, type SealedFetchOptions, verdictOf } from './sealed-fetch.ts'

const gateway = 'http://127.0.0.1:8080'
const messages = [{ role: 'user' as const, content: 'What is six times seven?' }]
let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})

function connect(bends: Bends = {}, options: Partial<SealedFetchOptions> = {}) {
  const double = serve(machine, bends)
  const fetch = createSealedFetch({
    gateway,
    policy: machine.policy,
    fetch: double.fetch,
    now: () => NOW,
    ...options,
  })
  const openai = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: 'sk-sealed-sdk', fetch })
  const posts = () => double.calls.filter((call) => call.startsWith('POST')).length
  return { double, openai, posts }
}

const chat = (openai: OpenAI) => openai.chat.completions.create({ model: 'demo', messages })

const stream = (openai: OpenAI, signal?: AbortSignal) =>
  openai.chat.completions.create({ model: 'demo', messages, stream: true }, { signal })

/** What a user has read of a stream when it ended, and how it ended. */
async function readThrough(openai: OpenAI) {
  let text = ''
  try {
    for await (const chunk of await stream(openai)) text += chunk.choices[0]?.delta.content ?? ''
    return { text, error: undefined }
  } catch (error) {
    return { text, error: error as { code?: string; status?: number; message: string } }
  }
}

const forged: Bends['reply'] = (_session, honest) => ({
  ...honest,
  output: utf8(new TextDecoder().decode(honest.output).replace('-two', '-six')),
})

const failAfterHead: Bends = {
  reply: (session, honest) => ({ ...honest, statements: aborted(machine)(session).statements }),
  final: ({ receipt }) => ({
    error: { code: 'workload.failed', message: 'the workload broke off' },
    ...(receipt !== undefined && { receipt }),
  }),
}

describe('the openai SDK over a sealed fetch', () => {
  it('gets a whole answer, with the verdict beside it', async () => {
    const { double, openai } = connect()
    const { data, response } = await chat(openai).withResponse()
    expect(data.choices[0]?.message.content).toBe('Forty-two.')
    expect((await verdictOf(response)).outcome).toBe('verified')
    expect(response.headers.get('sealed-receipt-id')).toBe(double.sessions[0]!.id)
    expect(response.headers.get('sealed-verdict')).toBe('verified')
    expect(double.sessions[0]!.header).toMatchObject({
      endpoint: '/v1/chat/completions',
      stream: false,
    })
    expect(JSON.parse(new TextDecoder().decode(double.sessions[0]!.input))).toMatchObject({
      messages,
    })
    expect(double.requests[0]!.headers.get('authorization')).toBe('Bearer sk-sealed-sdk')
  })

  it('gets a stream to its end, piece by piece', async () => {
    const { double, openai } = connect()
    const { data, response } = await stream(openai).withResponse()
    const pieces: (string | null | undefined)[] = []
    for await (const chunk of data) pieces.push(chunk.choices[0]?.delta.content)
    expect(pieces).toEqual(['Forty', '-two', '.', undefined])
    expect((await verdictOf(response)).outcome).toBe('verified')
    expect(double.sessions[0]!.header.stream).toBe(true)
  })

  it('sees the first piece while the rest is still to come', async () => {
    const gate = Promise.withResolvers<void>()
    const { openai } = connect({ pace: (part) => (part > 3 ? gate.promise : undefined) })
    const pieces = (await stream(openai))[Symbol.asyncIterator]()
    expect((await pieces.next()).value?.choices[0]?.delta.content).toBe('Forty')
    gate.resolve()
    expect((await pieces.next()).value?.choices[0]?.delta.content).toBe('-two')
  })

  it('closes the connection when the user breaks off, and when he aborts', async () => {
    const gate = Promise.withResolvers<void>()
    const { double, openai, posts } = connect({
      pace: (part) => (part > 3 ? gate.promise : undefined),
    })
    for await (const _ of await stream(openai)) break
    expect(double.cancelled).toBe(1)
    const controller = new AbortController()
    for await (const _ of await stream(openai, controller.signal)) controller.abort()
    expect(double.cancelled).toBe(2)
    expect(posts()).toBe(2)
    gate.resolve()
  })

  it('is told that the user aborted, before there was an answer', async () => {
    const controller = new AbortController()
    const { double, openai, posts } = connect({ pace: () => controller.abort() })
    await expect(stream(openai, controller.signal)).rejects.toBeInstanceOf(APIUserAbortError)
    expect(double.cancelled).toBe(1)
    expect(posts()).toBe(1)
  })

  it('never takes a cut stream for a whole one', async () => {
    for (const parts of [3, 4, 5, 6, 7]) {
      const { openai, posts } = connect({ frames: (frames) => frames.slice(0, parts) })
      const { error, text } = await readThrough(openai)
      expect(error, text).toMatchObject({ code: 'response.truncated' })
      expect(posts()).toBe(1)
    }
  })

  it('never takes a stream for a whole one whose connection breaks', async () => {
    const { openai } = connect({
      pace: (part) => {
        if (part === 6) throw new TypeError('terminated')
      },
    })
    expect((await readThrough(openai)).error).toMatchObject({ code: 'response.truncated' })
  })

  it('gets an error at the end of a stream that was not the one computed', async () => {
    const { openai, posts } = connect({ reply: forged })
    const { error, text } = await readThrough(openai)
    expect(error).toMatchObject({ code: 'verdict.failed' })
    expect(text).toBe('Forty-six.')
    expect(posts()).toBe(1)
  })

  it('shows nothing of that stream where it is strict, and all of an honest one', async () => {
    const wrong = connect({ reply: forged }, { strict: true })
    const { error, text } = await readThrough(wrong.openai)
    expect(text).toBe('')
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({ code: 'verdict.failed', status: 424 })
    expect(wrong.posts()).toBe(1)
    const right = connect({}, { strict: true })
    expect(await readThrough(right.openai)).toEqual({ text: 'Forty-two.', error: undefined })
  })

  it('gets an error when the session failed after the head', async () => {
    const { openai, posts } = connect(failAfterHead)
    const { error, text } = await readThrough(openai)
    expect(text).toBe('Forty-two.')
    expect(error).toMatchObject({ code: 'workload.failed' })
    expect(posts()).toBe(1)
  })

  it('gets an error and sends nothing again when a session failed after the reveal', async () => {
    const { openai, posts } = connect({ reply: (session) => aborted(machine)(session) })
    await expect(chat(openai)).rejects.toMatchObject({ status: 424, code: 'workload.timeout' })
    expect(posts()).toBe(1)
    const { error } = await readThrough(openai)
    expect(error).toMatchObject({ status: 424, code: 'workload.timeout' })
    expect(posts()).toBe(2)
  })

  it('goes on by itself after a refusal at the door', async () => {
    let refusals = 2
    const before: Bends['before'] = (url) =>
      url.pathname === '/v1/sealed' && refusals-- > 0
        ? errorResponse(503, 'queue.full', 'the queue is full', { 'retry-after': '0' })
        : undefined
    const { openai, posts } = connect({ before }, { retry: { pause: async () => {} } })
    expect((await chat(openai)).choices[0]?.message.content).toBe('Forty-two.')
    expect(posts()).toBe(3)
  })

  it('does not repeat by itself what ran out of time after it was sent', async () => {
    const { double, openai, posts } = connect({ pace: () => new Promise(() => {}) })
    await chat(openai)
    const impatient = openai.withOptions({ timeout: 500, maxRetries: 2 })
    const { error } = await readThrough(impatient)
    expect(error).toMatchObject({ status: 424, code: 'session.aborted' })
    expect(double.cancelled).toBe(1)
    expect(posts()).toBe(2)
  })

  it('sends nothing to a machine that the policy does not accept', async () => {
    const { openai, posts } = connect({}, { policy: { ...machine.policy, workloads: [] } })
    await expect(chat(openai)).rejects.toMatchObject({ status: 424, code: 'verdict.failed' })
    expect(posts()).toBe(0)
  })

  it('lists the models', async () => {
    const { double, openai } = connect()
    expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(['demo'])
    expect(double.calls).toEqual(['GET /v1/models'])
  })

  it('is told plainly what cannot be sealed', async () => {
    const { double, openai } = connect()
    const images = openai.images.generate({ prompt: 'a seal' })
    await expect(images).rejects.toMatchObject({ status: 404, code: 'endpoint.unknown' })
    expect(double.calls).toEqual([])
  })
})
