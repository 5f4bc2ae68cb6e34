// How far the model's hidden states tell topics apart: mean over all tokens at the middle layer, raw and centred cosine
// within and between topics; then the demo's two capabilities scored as the embassy scores them.
// Usage: node separation.ts SAMPLES.json [MODEL_DIR], samples being {"capability": ["question", …], …}
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from '../reference/generate.ts'
import { loadModel } from '../reference/model.ts'

const TOPICS: Readonly<Record<string, string>> = {
  animals: 'horse dog sheep bird cow fish',
  jargon: 'kluge daemon crock glitch bug flame',
  people: 'doctor teacher king soldier judge poet',
  body: 'hand eye heart head foot arm',
}

const [samplesPath, directory = join(import.meta.dirname, '..', 'model')] = process.argv.slice(2)
if (samplesPath === undefined) throw new Error('usage: node separation.ts SAMPLES.json [MODEL_DIR]')
const samples = JSON.parse(readFileSync(samplesPath, 'utf8')) as Record<string, string[]>
const { engine, chatPrompt, end } = loadModel(directory)
const { signal } = new AbortController()

interface Signature {
  topic: string
  question: string
  vector: number[]
}

async function signature(topic: string, question: string): Promise<Signature> {
  const options = { maxTokens: 64, temperature: 0, seed: 1, end, signal }
  const { sequence } = await generate(engine, chatPrompt(question), options)
  const { hidden_size: size, num_hidden_layers: layers } = engine.config
  const from = Math.floor(layers / 2) * size
  return {
    topic,
    question,
    vector: mean(sequence.states.map((s) => [...s.subarray(from, from + size)])),
  }
}

async function signatures(
  byTopic: Readonly<Record<string, readonly string[]>>,
): Promise<Signature[]> {
  const out: Signature[] = []
  for (const [topic, questions] of Object.entries(byTopic))
    for (const question of questions) out.push(await signature(topic, question))
  return out
}

const mean = (vectors: number[][]): number[] =>
  vectors[0]!.map((_, i) => vectors.reduce((sum, v) => sum + v[i]!, 0) / vectors.length)
const dot = (a: number[], b: number[]): number =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0)
const cosine = (a: number[], b: number[]): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
const average = (values: number[]): string => mean(values.map((v) => [v]))[0]!.toFixed(3)

function separation(name: string, all: readonly Signature[]): string {
  const pairs = all.flatMap((a) =>
    all.filter((b) => b !== a).map((b) => ({ a, b, cosine: cosine(a.vector, b.vector) })),
  )
  const within = pairs.filter(({ a, b }) => a.topic === b.topic).map((pair) => pair.cosine)
  const between = pairs.filter(({ a, b }) => a.topic !== b.topic).map((pair) => pair.cosine)
  const nearest = all.filter((one) => {
    const others = pairs.filter(({ a }) => a === one).sort((p, q) => q.cosine - p.cosine)
    return others[0]?.b.topic === one.topic
  })
  return `${name}: within ${average(within)}, between ${average(between)} (most ${Math.max(...between).toFixed(3)}), nearest of the same topic ${nearest.length} of ${all.length}`
}

const centred = (all: readonly Signature[], by: readonly Signature[]): Signature[] => {
  const base = mean(by.map(({ vector }) => vector))
  return all.map((one) => ({ ...one, vector: one.vector.map((value, i) => value - base[i]!) }))
}

const article = (word: string) => (/^[aeiou]/.test(word) ? 'an' : 'a')
const topics = await signatures(
  Object.fromEntries(
    Object.entries(TOPICS).map(([topic, words]) => [
      topic,
      words.split(' ').map((word) => `What is ${article(word)} ${word}?`),
    ]),
  ),
)
const written = await signatures(samples)
const references = centred(written, written)
const lines = [separation('raw', topics), separation('centred', centred(topics, topics))]
for (const one of references) {
  const scores = Object.keys(samples).map((capability) => {
    const best = references
      .filter(({ topic }) => topic === capability)
      .map(({ vector }) => cosine(one.vector, vector))
    return `${capability} ${Math.max(0, ...best).toFixed(6)}`
  })
  lines.push(`${one.question}  ${scores.join('  ')}`)
}
process.stdout.write(`${lines.join('\n')}\n`)
