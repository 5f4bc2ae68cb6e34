// Answers at once: a fixed word and a small activations file, so that a benchmark shows what everything around it costs.
import { handOver } from '../server/activations.ts'
import { Answer } from '../server/answer.ts'
import type { Workload } from '../server/openai-server.ts'
import { reachReport } from '../server/reach.ts'
import { statesOf } from '../server/stand-in-states.ts'

const MODEL = 'noop'

export const noopWorkload: Workload = {
  model: MODEL,
  async complete(call) {
    const answer = new Answer(MODEL, call)
    const metadata = await reachReport()
    answer.text('ok')
    handOver({
      requestId: answer.id,
      model: MODEL,
      modelSha256: '0'.repeat(64),
      promptTokens: 1,
      ...statesOf(JSON.stringify(call.body.messages ?? call.body.prompt ?? '')),
    })
    answer.end({ finish: 'stop', promptTokens: 1, completionTokens: 1, metadata })
  },
}
