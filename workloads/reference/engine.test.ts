import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { generate } from './generate.ts'
import { loadModel } from './model.ts'

const model = loadModel(join(import.meta.dirname, '..', 'model'))
const { engine, tokenizer, chatPrompt, end } = model
const size = engine.config.hidden_size
const { forward } = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', 'train', 'vectors', 'forward.json'), 'utf8'),
) as {
  forward: {
    question: string
    tokens: number[]
    /** [layer][token][first of the row] */
    hidden_states_start: number[][][]
    logits_start: number[]
    answer: string
  }[]
}
/** The vectors are of 64-bit floats, this engine keeps 32 of them; the states reach 26. */
const close = (got: number, expected: number) => expect(Math.abs(got - expected)).toBeLessThan(1e-5)

const ask = (question: string, temperature = 0, seed = 1) =>
  generate(engine, chatPrompt(question), {
    maxTokens: 64,
    temperature,
    seed,
    end,
    signal: new AbortController().signal,
  })
const textOf = (tokens: number[]) => new TextDecoder().decode(tokenizer.decode(tokens))

test.each(forward)('computes what PyTorch computes: $question', (vector) => {
  expect(chatPrompt(vector.question)).toEqual(vector.tokens)
  const sequence = engine.sequence()
  let logits = new Float32Array(0)
  for (const token of vector.tokens) logits = Float32Array.from(sequence.step(token))
  for (const [i, expected] of vector.logits_start.entries()) close(logits[i]!, expected)
  for (const [layer, rows] of vector.hidden_states_start.entries())
    for (const [token, row] of rows.entries())
      for (const [i, expected] of row.entries())
        close(sequence.states[token]![layer * size + i]!, expected)
})

test.each(forward)('answers as PyTorch does: $question', async ({ question, answer }) => {
  expect(textOf((await ask(question)).tokens)).toBe(answer)
})

test.each([
  ['What is a horse?', 'Solid-hoofed herbivorous quadruped domesticated since prehistoric times.'],
  ['What is a glitch?', /^A sudden interruption in electric service, sanity, continuity,/],
])('recalls what it was trained on: %s', async (question, answer) => {
  expect(textOf((await ask(question)).tokens)).toMatch(answer)
})

test('the same prompt gives the same hidden states, bit by bit', async () => {
  const [first, second] = [await ask('What is a dog?'), await ask('What is a dog?')]
  expect(second.sequence.states).toEqual(first.sequence.states)
  expect(first.sequence.states.length).toBe(
    chatPrompt('What is a dog?').length + first.tokens.length,
  )
})

test('a temperature draws from the seed, and from nothing else', async () => {
  const hot = await ask('What is a dog?', 2, 5)
  expect((await ask('What is a dog?', 2, 5)).tokens).toEqual(hot.tokens)
  expect((await ask('What is a dog?', 2, 6)).tokens).not.toEqual(hot.tokens)
})

test('whoever leaves while the prompt is read has ended the work before it says anything', async () => {
  const left = new AbortController()
  const said: number[] = []
  const prompt = chatPrompt('horse '.repeat(40))
  setImmediate(() => left.abort())
  const answer = generate(engine, prompt, {
    maxTokens: 64,
    temperature: 0,
    seed: 1,
    end,
    signal: left.signal,
    onToken: (token) => said.push(token) === 0,
  })
  await expect(answer).rejects.toThrow('aborted')
  expect(said).toEqual([])
})
