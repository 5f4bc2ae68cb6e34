// What the seal costs where a model computes: the demo model behind our plain door, whose sessions share sealed epochs,
// beside the same server behind a bare Hono proxy, a few callers at a time, in turns.
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { up } from '../scripts/up.ts'
import { type Beside, besides } from './support/beside.ts'
import { load } from './support/load.ts'
import { median, ms, table } from './support/table.ts'

const ROUNDS = 12
const REQUESTS = 24
const CALLERS = 4
const BODY = JSON.stringify({
  model: 'sealed-demo',
  messages: [{ role: 'user', content: 'What is a horse?' }],
})

export async function benchDemoModel(): Promise<void> {
  const instance = await up(await mkdtemp(join(tmpdir(), 'sealed-bench-')), {
    workload: 'reference',
    epoch: { max_ms: 3_600_000, sessions: CALLERS },
  })
  let beside: Beside | undefined
  try {
    beside = await besides('reference')
    const paths = [
      ['the workload, bare', beside.bare],
      ['bare Hono proxy', beside.hono],
      ['plain door', instance.url],
    ] as const
    const found = paths.map(() => ({ walls: [] as number[], rates: [] as number[] }))
    for (let round = 0; round <= ROUNDS; round++)
      for (const turn of paths.keys()) {
        // Another one begins each round: what changes with time is nobody's gain.
        const i = (round + turn) % paths.length
        const { walls, rate } = await load(REQUESTS, CALLERS, () => ask(paths[i]![1]))
        // The first round warms each of them up.
        if (round === 0) continue
        found[i]!.walls.push(...walls)
        found[i]!.rates.push(rate)
      }
    const hono = median(found[1]!.rates)
    table(
      `the demo model, ${CALLERS} callers, one replica, ${ROUNDS} rounds of ${REQUESTS}`,
      ['', 'requests/s', 'of Hono’s', 'median ms'],
      paths.map(([name], i) => {
        const rate = median(found[i]!.rates)
        return [
          name,
          rate.toFixed(2),
          `${((100 * rate) / hono).toFixed(1)} %`,
          ms(median(found[i]!.walls)),
        ]
      }),
    )
  } finally {
    await beside?.stop()
    await instance.stop()
  }
}

async function ask(base: string): Promise<void> {
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: BODY,
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${base} answered ${answer.status}: ${text}`)
}
