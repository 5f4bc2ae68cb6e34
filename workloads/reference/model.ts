// Opens the model's folder: config, weights, tokenizer, and the digest of the weights.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Engine, type ModelConfig } from './engine.ts'
import { Tokenizer, type TokenizerFile } from './tokenizer.ts'
import { loadWeights } from './weights.ts'

export interface Model {
  engine: Engine
  tokenizer: Tokenizer
  /** Ends an answer. */
  end: number
  /** SHA-256 of the weights file, hex. */
  sha256: string
  /** Tokens of one question, as the model was trained on them. */
  chatPrompt(question: string): number[]
}

/** Throws when a file is missing or the weights lack a tensor. */
export function loadModel(directory: string): Model {
  const json = (name: string) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as unknown
  const bytes = readFileSync(join(directory, 'model.safetensors'))
  const tokenizer = new Tokenizer(json('tokenizer.json') as TokenizerFile)
  const user = tokenizer.special('<|user|>')
  const assistant = tokenizer.special('<|assistant|>')
  return {
    engine: new Engine(json('config.json') as ModelConfig, loadWeights(bytes)),
    tokenizer,
    end: tokenizer.special('<|end|>'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
    chatPrompt: (question) => [user, ...tokenizer.encode(question), assistant],
  }
}
