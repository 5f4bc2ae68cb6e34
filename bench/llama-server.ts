// What the tap and the seal cost a real inference server: llama-server with the demo model, bare, with the tap in it, and
// behind our plain door with both, one caller, in turns.
import { readFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { up } from '../scripts/up.ts'
import { buildLlamaImage } from '../test/support/llama-cpp.ts'
import { startLlama } from '../test/support/llama-process.ts'
import { load } from './support/load.ts'
import { median, ms, table } from './support/table.ts'

const ROUNDS = 5
const REQUESTS = 20
const FILE = join(REPOSITORY, 'workloads', 'adapters', 'llama.cpp', 'workload.json')
const BODY = JSON.stringify({
  model: 'model',
  messages: [{ role: 'user', content: 'What is a dog?' }],
  temperature: 0,
})

export async function benchLlamaServer(): Promise<void> {
  const file = JSON.parse(readFileSync(FILE, 'utf8')) as { command: string[] }
  // As many as the others have.
  const command = [...file.command, '--threads', '1']
  const own = { image: await buildLlamaImage(), file: { ...file, command } }
  const undo: (() => Promise<void>)[] = []
  const stopping = <T extends { stop(): Promise<void> }>(started: T): T => {
    undo.push(() => started.stop())
    return started
  }
  try {
    const paths = [
      ['llama-server, bare', stopping(await startLlama({ bare: true })).url],
      ['with the tap', stopping(await startLlama()).url],
      [
        'plain door, sealed',
        stopping(
          await up(await mkdtemp(join(tmpdir(), 'sealed-bench-')), { workload: 'noop', own }),
        ).url,
      ],
    ] as const
    const found = paths.map(() => ({ walls: [] as number[], rates: [] as number[] }))
    for (let round = 0; round <= ROUNDS; round++)
      for (const [i, [, base]] of paths.entries()) {
        const { walls } = await load(REQUESTS, 1, async () => {
          const rate = await ask(base)
          if (round > 0) found[i]!.rates.push(rate)
        })
        // The first round warms each of them up.
        if (round > 0) found[i]!.walls.push(...walls)
      }
    const bare = median(found[0]!.rates)
    table(
      `llama-server with the demo model, one caller, ${ROUNDS} rounds of ${REQUESTS}`,
      ['', 'tokens/s, its own count', 'of the bare one’s', 'median ms of an answer'],
      paths.map(([name], i) => {
        const rate = median(found[i]!.rates)
        return [
          name,
          rate.toFixed(0),
          `${((100 * rate) / bare).toFixed(1)} %`,
          ms(median(found[i]!.walls)),
        ]
      }),
    )
  } finally {
    for (const stop of undo.reverse()) await stop()
  }
}

/** Tokens a second while the answer was computed, as the server counts. */
async function ask(base: string): Promise<number> {
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: BODY,
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${base} answered ${answer.status}: ${text}`)
  const { timings } = JSON.parse(text) as { timings: { predicted_per_second: number } }
  return timings.predicted_per_second
}
