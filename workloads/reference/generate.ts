// Generates an answer token by token: greedy unless a temperature is asked for, and then from a seed, so that the same
// request always has the same answer and the same activations.
import { setImmediate } from 'node:timers/promises'
import { RequestError } from '../server/openai-server.ts'
import type { Engine, Sequence } from './engine.ts'

export interface GenerationOptions {
  maxTokens: number
  temperature: number
  seed: number
  /** Token that ends an answer. */
  end: number
  signal: AbortSignal
  /** Told each token; the answer ends with the one for which it returns true. */
  onToken?: (token: number) => boolean
}

/** Tokens between two looks at whether anybody still waits. */
const STRIDE = 8

export interface Generation {
  tokens: number[]
  finish: 'stop' | 'length'
  sequence: Sequence
}

/** Throws a 400 when the prompt is empty or leaves no room in the context, and the signal's reason when it is aborted. */
export async function generate(
  engine: Engine,
  prompt: readonly number[],
  options: GenerationOptions,
): Promise<Generation> {
  const context = engine.config.max_position_embeddings
  if (prompt.length >= context)
    throw new RequestError(
      400,
      'context_length_exceeded',
      `the prompt has ${prompt.length} tokens; the context holds ${context}`,
      'messages',
    )
  if (prompt.length === 0)
    throw new RequestError(400, 'invalid_value', 'prompt: must not be empty', 'prompt')
  const sequence = engine.sequence()
  const random = seeded(options.seed)
  let logits: Float32Array = new Float32Array(0)
  const step = async (token: number) => {
    logits = sequence.step(token)
    if (sequence.length % STRIDE === 0) await setImmediate()
    options.signal.throwIfAborted()
  }
  for (const token of prompt) await step(token)
  const tokens: number[] = []
  const room = Math.min(options.maxTokens, context - prompt.length)
  while (tokens.length < room) {
    const token = choose(logits, options.temperature, random)
    if (token === options.end) return { tokens, finish: 'stop', sequence }
    tokens.push(token)
    const enough = options.onToken?.(token) === true
    await step(token)
    if (enough) return { tokens, finish: 'stop', sequence }
  }
  return { tokens, finish: 'length', sequence }
}

function choose(logits: Float32Array, temperature: number, random: () => number): number {
  let best = 0
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i
  if (temperature === 0) return best
  const raised = Array.from(logits, (logit) => Math.exp((logit - logits[best]!) / temperature))
  let left = random() * raised.reduce((sum, value) => sum + value, 0)
  for (const [token, value] of raised.entries()) {
    left -= value
    if (left <= 0) return token
  }
  return best
}

/** A small generator (mulberry32): the same seed, the same numbers. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
