import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { readTensors, type Serving, serving } from '../test-support/serving.ts'
import { loadModel, type Model } from './model.ts'
import { demoWorkload } from './workload.ts'

const HORSE = 'Solid-hoofed herbivorous quadruped domesticated since prehistoric times.'
const chat = (content: string, more: object = {}) => ({
  model: 'sealed-demo',
  messages: [{ role: 'user', content }],
  ...more,
})

let model: Model
let server: Serving
beforeAll(() => {
  model = loadModel(join(import.meta.dirname, '..', 'model'))
})
beforeEach(async () => {
  server = await serving(demoWorkload(model))
})
afterEach(() => {
  vi.restoreAllMocks()
  return server.close()
})

interface Completion {
  id: string
  choices: { message: { content: string }; text: string; finish_reason: string }[]
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number }
  metadata: object
}
const complete = async (body: unknown, path?: string) =>
  (await (await server.post(body, path === undefined ? {} : { path })).json()) as Completion

test('answers a question it was trained on word for word', async () => {
  const { choices, usage, metadata } = await complete(chat('What is a horse?'))
  expect(choices[0]).toMatchObject({ message: { content: HORSE }, finish_reason: 'stop' })
  const prompt = model.chatPrompt('What is a horse?').length
  const output = model.tokenizer.encode(HORSE).length
  expect(usage).toEqual({
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
  })
  expect(metadata).toEqual({})
})

test('a stream says the same, then its usage, then that it is done', async () => {
  const body = chat('What is a horse?', { stream: true, stream_options: { include_usage: true } })
  const response = await server.post(body)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const lines = (await response.text()).trim().split('\n\n')
  expect(lines.pop()).toBe('data: [DONE]')
  const events = lines.map(
    (line) =>
      JSON.parse(line.slice(6)) as {
        choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[]
        usage?: object
      },
  )
  expect(events[0]?.choices[0]?.delta.role).toBe('assistant')
  expect(events.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(HORSE)
  expect(events.at(-2)?.choices[0]?.finish_reason).toBe('stop')
  expect(events.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 7 } })
})

test.each([
  ['quadruped', 'Solid-hoofed herbivorous '],
  [['never said', 'ous qua', 'domesticated'], 'Solid-hoofed herbivor'],
  ['times. And', HORSE],
])(
  'stops before %j, in one piece or as a stream, and hands the same states over',
  async (stop, said) => {
    const body = chat('What is a horse?', { stop })
    const { choices, usage } = await complete(body)
    expect(choices[0]).toMatchObject({ message: { content: said }, finish_reason: 'stop' })
    const stream = await (await server.post({ ...body, stream: true })).text()
    const pieces = [...stream.matchAll(/"content":"(.*?)"/g)].map(([, piece]) => piece)
    expect(pieces.join('')).toBe(said)
    expect(stream).toContain('"finish_reason":"stop"')
    const states = server
      .dropped()
      .map((name) => readTensors(join(server.activations, name)).tensors.get('hidden_states')!)
    expect(states).toHaveLength(2)
    const whole = model.tokenizer.encode(HORSE).length
    if (said === HORSE) expect(usage.completion_tokens).toBe(whole)
    else expect(usage.completion_tokens).toBeLessThan(whole)
    expect(states[0]?.shape[0]).toBe(usage.total_tokens)
    expect(states[1]?.bytes.equals(states[0]!.bytes)).toBe(true)
  },
)

test('hands over the states of every token, in the layout that vLLM writes', async () => {
  const { id, usage } = await complete(chat('What is a dog?'))
  expect(server.dropped()).toEqual([`${id}.safetensors`])
  const path = join(server.activations, `${id}.safetensors`)
  const { metadata, tensors } = readTensors(path)
  expect(metadata).toEqual({
    request_id: id,
    model: 'sealed-demo',
    model_sha256: model.sha256,
    prompt_tokens: String(usage.prompt_tokens),
    layers: '4',
  })
  const states = tensors.get('hidden_states')!
  expect(states).toMatchObject({ dtype: 'F32', shape: [usage.total_tokens, 4, 128] })
  expect(states.bytes.length).toBe(usage.total_tokens * 4 * 128 * 4)
  const ids = tensors.get('token_ids')!
  expect(ids).toMatchObject({ dtype: 'I64', shape: [usage.total_tokens] })
  const tokens = Array.from({ length: usage.total_tokens }, (_, i) =>
    Number(ids.bytes.readBigInt64LE(8 * i)),
  )
  expect(tokens.slice(0, usage.prompt_tokens)).toEqual(model.chatPrompt('What is a dog?'))
})

test('the same request has the same states; the next one differs', async () => {
  const bytes: Buffer[] = []
  for (const question of ['What is a dog?', 'What is a dog?', 'What is a cow?']) {
    const { id } = await complete(chat(question))
    const { tensors } = readTensors(join(server.activations, `${id}.safetensors`))
    bytes.push(tensors.get('hidden_states')!.bytes)
  }
  expect(bytes[1]?.equals(bytes[0]!)).toBe(true)
  expect(bytes[2]?.equals(bytes[0]!)).toBe(false)
})

test('an answer whose activations cannot be handed over is no answer', async () => {
  const shown = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  rmSync(server.activations, { recursive: true })
  const response = await server.post(chat('What is a dog?'))
  expect(response.status).toBe(500)
  expect(await response.json()).toMatchObject({ error: { code: 'internal_error' } })
  const stream = await server.post(chat('What is a dog?', { stream: true }))
  await expect(stream.text()).rejects.toThrow('terminated')
  expect(shown).toHaveBeenCalled()
})

test('text completions continue the prompt, as far as they are asked to', async () => {
  const { choices, usage } = await complete(
    { prompt: 'What is a', max_tokens: 3 },
    '/v1/completions',
  )
  expect(usage.completion_tokens).toBe(3)
  expect(choices[0]?.finish_reason).toBe('length')
  expect(choices[0]?.text).not.toBe('')
})

test('the context bounds prompt and answer', async () => {
  const response = await server.post(chat('horse '.repeat(100)))
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({
    error: { code: 'context_length_exceeded', param: 'messages' },
  })
  const { usage, choices } = await complete(chat('horse '.repeat(60), { max_tokens: 4096 }))
  expect(usage.total_tokens).toBeLessThanOrEqual(96)
  expect(['stop', 'length']).toContain(choices[0]?.finish_reason)
})

test.each([
  [{ messages: [] }, 'invalid_value', 'messages'],
  [{ messages: [{ role: 'system', content: 'x' }] }, 'invalid_value', 'messages'],
  [{ messages: [{ role: 'user', content: 7 }] }, 'invalid_value', 'messages'],
  [chat('x', { temperature: 3 }), 'invalid_value', 'temperature'],
  [chat('x', { max_tokens: 0 }), 'invalid_value', 'max_tokens'],
  [chat('x', { stream: 'yes' }), 'invalid_value', 'stream'],
  [chat('x', { n: 2 }), 'unsupported_parameter', 'n'],
  [chat('x', { stop: 7 }), 'invalid_value', 'stop'],
  [chat('x', { stop: ['a', ''] }), 'invalid_value', 'stop'],
  [chat('x', { stop: ['a', 'b', 'c', 'd', 'e'] }), 'invalid_value', 'stop'],
  [chat('x', { tools: [{}] }), 'unsupported_parameter', 'tools'],
])('refuses %j', async (body, code, param) => {
  const response = await server.post(body)
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: { code, param } })
  expect(server.dropped()).toEqual([])
})

test('an empty prompt is refused, and what asks for nothing is not', async () => {
  const empty = await server.post({ prompt: '' }, { path: '/v1/completions' })
  expect(empty.status).toBe(400)
  const harmless = { n: 1, stop: [], tools: [], logit_bias: {}, response_format: { type: 'text' } }
  expect((await server.post(chat('What is a dog?', harmless))).status).toBe(200)
})

test('a client that leaves ends the work, and nothing is handed over for it', async () => {
  const left = new AbortController()
  const stepped = await serving({
    model: 'sealed-demo',
    complete(call) {
      const { response } = call
      const write = response.write.bind(response)
      vi.spyOn(response, 'write').mockImplementation((chunk: string) => {
        left.abort()
        return write(chunk)
      })
      return demoWorkload(model).complete({ ...call, signal: left.signal })
    },
  })
  const answer = stepped.post(chat('What is a horse?', { stream: true }))
  await expect(answer.then((response) => response.text())).rejects.toThrow()
  expect(left.signal.aborted).toBe(true)
  expect(stepped.dropped()).toEqual([])
  await stepped.close()
})
