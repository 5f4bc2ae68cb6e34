// Answers one request with the demo model: hands the hidden states of every prompt and output token over before the
// answer ends, and reports what could be reached of the world meanwhile.
import { handOver } from '../server/activations.ts'
import { Answer } from '../server/answer.ts'
import type { Call, Workload } from '../server/openai-server.ts'
import { reachReport } from '../server/reach.ts'
import { generate } from './generate.ts'
import type { Model } from './model.ts'
import { parseRequest } from './request.ts'
import { StopFilter } from './stop.ts'

export const MODEL = 'sealed-demo'

export function demoWorkload(model: Model): Workload {
  return { model: MODEL, complete: (call) => complete(model, call) }
}

async function complete(model: Model, call: Call): Promise<void> {
  const { engine, tokenizer, end, sha256 } = model
  const request = parseRequest(call.body, call.chat)
  const prompt = call.chat ? model.chatPrompt(request.prompt) : tokenizer.encode(request.prompt)
  const answer = new Answer(MODEL, call)
  const reach = reachReport()
  const decoder = new TextDecoder()
  const stop = new StopFilter(request.stop)
  const { tokens, finish, sequence } = await generate(engine, prompt, {
    ...request,
    end,
    signal: call.signal,
    onToken(token) {
      answer.text(stop.push(decoder.decode(tokenizer.decode([token]), { stream: true })))
      return stop.stopped
    },
  })
  answer.text(stop.push(decoder.decode()) + stop.rest())
  const metadata = await reach
  call.signal.throwIfAborted()
  const { num_hidden_layers: layers, hidden_size: hidden } = engine.config
  const states = new Float32Array(sequence.length * layers * hidden)
  for (const [token, seen] of sequence.states.entries()) states.set(seen, token * layers * hidden)
  handOver({
    requestId: answer.id,
    model: MODEL,
    modelSha256: sha256,
    promptTokens: prompt.length,
    shape: [sequence.length, layers, hidden],
    states,
    tokenIds: [...prompt, ...tokens],
  })
  answer.end({
    finish,
    promptTokens: prompt.length,
    completionTokens: tokens.length,
    metadata,
  })
}
