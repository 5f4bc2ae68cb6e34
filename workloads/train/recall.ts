// Puts every question of the corpus to the committed model, through the engine that serves it, and counts the answers
// that match word for word. Usage: node recall.ts ITEMS.json [MODEL_DIR]
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from '../reference/generate.ts'
import { loadModel } from '../reference/model.ts'

const [itemsPath, directory = join(import.meta.dirname, '..', 'model')] = process.argv.slice(2)
if (itemsPath === undefined) throw new Error('usage: node recall.ts ITEMS.json [MODEL_DIR]')
const items = JSON.parse(readFileSync(itemsPath, 'utf8')) as [question: string, answer: string][]
const { engine, tokenizer, chatPrompt, end } = loadModel(directory)
const { signal } = new AbortController()
const kinds = new Map<string, { right: number; all: number }>()
let tokens = 0
const started = performance.now()
for (const [question, answer] of items) {
  const options = { maxTokens: 64, temperature: 0, seed: 1, end, signal }
  const said = await generate(engine, chatPrompt(question), options)
  tokens += said.sequence.length
  const kind = /^(?:What \w+|\w+)/.exec(question)?.[0] ?? ''
  const count = kinds.get(kind) ?? { right: 0, all: 0 }
  kinds.set(kind, count)
  count.all += 1
  if (new TextDecoder().decode(tokenizer.decode(said.tokens)) === answer) count.right += 1
}
const seconds = (performance.now() - started) / 1000
for (const [kind, { right, all }] of kinds)
  process.stdout.write(`${kind} …: ${right} of ${all} word for word\n`)
const right = [...kinds.values()].reduce((sum, count) => sum + count.right, 0)
process.stdout.write(
  `all: ${right} of ${items.length}; ${Math.round(tokens / seconds)} tokens a second\n`,
)
