// Answers at once: a fixed word and a small activations file, so that a benchmark shows what everything around it costs.
// `"chunks": n, "every_ms": m` asks for n pieces instead, each the time of its writing by the machine's monotonic clock,
// in microseconds.
import { setTimeout as delay } from 'node:timers/promises'
import { handOver } from '../server/activations.ts'
import { Answer } from '../server/answer.ts'
import type { Call, Workload } from '../server/openai-server.ts'
import { RequestError } from '../server/openai-server.ts'
import { reachReport } from '../server/reach.ts'
import { statesOf } from '../server/stand-in-states.ts'
import { readReport } from './read-files.ts'

const MODEL = 'noop'
const MAX_CHUNKS = 1_000
const MAX_EVERY_MS = 1_000

export const noopWorkload: Workload = {
  model: MODEL,
  abreast: true,
  async complete(call) {
    const chunks = numberIn(call, 'chunks', MAX_CHUNKS)
    const answer = new Answer(MODEL, call)
    const metadata = { ...(await reachReport()), ...(await readReport(call.body.read)) }
    if (chunks === 0) answer.text('ok')
    else await pieces(answer, call, chunks)
    handOver({
      requestId: answer.id,
      model: MODEL,
      modelSha256: '0'.repeat(64),
      promptTokens: 1,
      ...statesOf(JSON.stringify(call.body.messages ?? call.body.prompt ?? '')),
    })
    answer.end({ finish: 'stop', promptTokens: 1, completionTokens: chunks || 1, metadata })
  },
}

async function pieces(answer: Answer, call: Call, chunks: number): Promise<void> {
  const everyMs = numberIn(call, 'every_ms', MAX_EVERY_MS)
  const begun = performance.now()
  for (let i = 0; i < chunks && !call.signal.aborted; i++) {
    // At their due times: pauses after each would join streams into bursts for good where anything once stalls.
    if (i > 0) await delay(Math.max(0, begun + i * everyMs - performance.now()))
    answer.text(`${process.hrtime.bigint() / 1000n} `)
  }
}

/** 0 where it is not given. */
function numberIn({ body }: Call, name: string, most: number): number {
  const value = body[name] ?? 0
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > most)
    throw new RequestError(400, 'invalid_value', `${name} must be a number from 0 to ${most}`, name)
  return value as number
}
