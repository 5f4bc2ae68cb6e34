// What the demo model answers by the engine in TypeScript, and what its layers show meanwhile.
import { join } from 'node:path'
import { REPOSITORY } from '../../scripts/instance/paths.ts'
import type { Sequence } from '../../workloads/reference/engine.ts'
import { generate } from '../../workloads/reference/generate.ts'
import { loadModel } from '../../workloads/reference/model.ts'

const model = loadModel(join(REPOSITORY, 'workloads', 'model'))
export const { hidden_size: WIDTH, num_hidden_layers: LAYERS } = model.engine.config

export interface DemoAnswer {
  text: string
  promptTokens: number
  sequence: Sequence
}

/** Greedy, at most 64 tokens. */
export const answerTo = (question: string): Promise<DemoAnswer> =>
  complete(model.chatPrompt(question), 64)

export const continueText = (text: string, maxTokens: number): Promise<DemoAnswer> =>
  complete(model.tokenizer.encode(text), maxTokens)

async function complete(prompt: number[], maxTokens: number): Promise<DemoAnswer> {
  const { engine, end, tokenizer } = model
  const signal = new AbortController().signal
  const options = { maxTokens, temperature: 0, seed: 1, end, signal }
  const { tokens, sequence } = await generate(engine, prompt, options)
  const text = new TextDecoder().decode(tokenizer.decode(tokens))
  return { text, promptTokens: prompt.length, sequence }
}
