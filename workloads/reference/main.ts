// The demo workload: a small language model behind OpenAI's paths. Hands the hidden states of every prompt and output
// token over before its answer ends, and reports what it could reach of the world meanwhile.
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { handOver } from '../server/activations.ts'
import { type Call, json, openAiServer, serve } from '../server/openai-server.ts'
import { reachReport } from '../server/reach.ts'
import { Engine, type ModelConfig } from './engine.ts'
import { type Generation, generate } from './generate.ts'
import { type CompletionRequest, parseRequest } from './request.ts'
import { Tokenizer } from './tokenizer.ts'
import { loadWeights } from './weights.ts'

const MODEL = 'sealed-demo'
const directory = process.env.MODEL_DIR ?? join(import.meta.dirname, '..', 'model')
const weightsPath = join(directory, 'model.safetensors')
const modelSha256 = createHash('sha256').update(readFileSync(weightsPath)).digest('hex')
const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as ModelConfig
const engine = new Engine(config, loadWeights(weightsPath))
const tokenizer = new Tokenizer(
  JSON.parse(readFileSync(join(directory, 'tokenizer.json'), 'utf8')) as ConstructorParameters<
    typeof Tokenizer
  >[0],
)
const [END, USER, ASSISTANT] = ['<|end|>', '<|user|>', '<|assistant|>'].map((name) =>
  tokenizer.special(name),
) as [number, number, number]

function activations(requestId: string, promptTokens: number, { sequence }: Generation): void {
  const { num_hidden_layers: layers, hidden_size: hidden } = config
  const states = new Float32Array(sequence.length * layers * hidden)
  for (const [token, seen] of sequence.states.entries()) states.set(seen, token * layers * hidden)
  handOver({
    requestId,
    model: MODEL,
    modelSha256,
    promptTokens,
    tokens: sequence.length,
    layers,
    hidden,
    states,
  })
}

async function complete({ path, body, signal, response }: Call): Promise<void> {
  const chat = path.endsWith('/chat/completions')
  const request = parseRequest(body, chat)
  const prompt = chat
    ? [USER, ...tokenizer.encode(request.prompt), ASSISTANT]
    : tokenizer.encode(request.prompt)
  const id = `${chat ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`
  const reach = reachReport()
  const answer = new Answer(id, chat, request, response)
  const generation = await generate(engine, prompt, {
    ...request,
    end: END,
    signal,
    onToken: (token) => answer.token(token),
  })
  activations(id, prompt.length, generation)
  answer.end(generation, prompt.length, await reach)
}

/** Writes the answer, whole or as a stream of events. */
class Answer {
  readonly #frame: { id: string; created: number; model: string }
  readonly #chat: boolean
  readonly #request: CompletionRequest
  readonly #response: Call['response']
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(id: string, chat: boolean, request: CompletionRequest, response: Call['response']) {
    this.#frame = { id, created: Math.floor(Date.now() / 1000), model: MODEL }
    this.#chat = chat
    this.#request = request
    this.#response = response
  }

  token(token: number): void {
    const piece = this.#decoder.decode(tokenizer.decode([token]), { stream: true })
    this.#text += piece
    if (this.#request.stream && piece !== '')
      this.#event([{ index: 0, ...this.#delta(piece), finish_reason: null }])
  }

  end(
    { tokens, finish }: Generation,
    promptTokens: number,
    metadata: Record<string, string>,
  ): void {
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: tokens.length,
      total_tokens: promptTokens + tokens.length,
    }
    if (this.#request.stream) {
      this.#event([{ index: 0, ...this.#delta(''), finish_reason: finish }], { metadata })
      if (this.#request.includeUsage) this.#event([], { usage })
      this.#response.end('data: [DONE]\n\n')
      return
    }
    const content = this.#chat
      ? { message: { role: 'assistant', content: this.#text } }
      : { text: this.#text }
    json(this.#response, 200, {
      ...this.#frame,
      object: this.#chat ? 'chat.completion' : 'text_completion',
      choices: [{ index: 0, ...content, finish_reason: finish }],
      usage,
      metadata,
    })
  }

  #delta(piece: string): object {
    return this.#chat ? { delta: piece === '' ? {} : { content: piece } } : { text: piece }
  }

  #event(choices: unknown[], more: object = {}): void {
    if (!this.#response.headersSent)
      this.#response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
      })
    const object = this.#chat ? 'chat.completion.chunk' : 'text_completion'
    this.#response.write(
      `data: ${JSON.stringify({ ...this.#frame, object, choices, ...more })}\n\n`,
    )
  }
}

serve(openAiServer({ model: MODEL, complete }))
