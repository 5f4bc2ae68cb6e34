// A workload that does nothing quickly: a fixed answer and a small activations file, so that a benchmark shows what
// everything around it costs.
import { randomUUID } from 'node:crypto'
import { handOver } from '../server/activations.ts'
import { json, openAiServer, serve } from '../server/openai-server.ts'
import { reachReport } from '../server/reach.ts'

const MODEL = 'noop'
const TOKENS = 4
const LAYERS = 4
const HIDDEN = 32

/** The same input gives the same states; another one gives others. */
function statesOf(text: string): Float32Array {
  const states = new Float32Array(TOKENS * LAYERS * HIDDEN)
  let seed = 2166136261
  for (let i = 0; i < text.length; i++) seed = Math.imul(seed ^ text.charCodeAt(i), 16777619)
  for (let i = 0; i < states.length; i++) {
    seed = Math.imul(seed ^ (seed >>> 15), 2246822519) + 1
    states[i] = (seed & 0xffff) / 0xffff - 0.5
  }
  return states
}

serve(
  openAiServer({
    model: MODEL,
    async complete({ path, body, response }) {
      const requestId = `chatcmpl-${randomUUID()}`
      handOver({
        requestId,
        model: MODEL,
        modelSha256: '0'.repeat(64),
        promptTokens: 1,
        tokens: TOKENS,
        layers: LAYERS,
        hidden: HIDDEN,
        states: statesOf(JSON.stringify(body.messages ?? body.prompt ?? '')),
      })
      const chat = path.endsWith('/chat/completions')
      const choice = chat ? { message: { role: 'assistant', content: 'ok' } } : { text: 'ok' }
      json(response, 200, {
        id: requestId,
        object: chat ? 'chat.completion' : 'text_completion',
        created: 0,
        model: MODEL,
        choices: [{ index: 0, ...choice, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
        metadata: await reachReport(),
      })
    },
  }),
)
