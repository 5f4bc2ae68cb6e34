// The same no-op server: bare, behind nginx, behind our plain door, behind our envelope door; in turns, in one run.
import { readFile } from 'node:fs/promises'
import { ask, attest } from '@sealed/client'
import { parsePolicy } from '@sealed/protocol'
import { Agent, request as undiciRequest } from 'undici'
import type { Instance } from '../scripts/up.ts'
import { besides } from './support/beside.ts'
import { median, ms, quantile, table } from './support/table.ts'

const ROUNDS = 3
const REQUESTS = 60
const CONNECTIONS = [1, 8]
const ENDPOINT = '/v1/chat/completions'
const BODY = JSON.stringify({ model: 'noop', messages: [{ role: 'user', content: 'hello' }] })

export async function benchAgainstNginx(instance: Instance): Promise<void> {
  const beside = await besides()
  const agent = new Agent({ connections: 64 })
  try {
    const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
    const attested = await attest({ url: instance.url, policy })
    const post = (base: string) => async () => {
      const { statusCode, body } = await undiciRequest(`${base}${ENDPOINT}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: BODY,
        dispatcher: agent,
      })
      await body.dump()
      if (statusCode !== 200) throw new Error(`${base} answered ${statusCode}`)
    }
    const paths: [string, () => Promise<unknown>][] = [
      ['the workload, bare', post(beside.bare)],
      ['nginx in front of it', post(beside.nginx)],
      ['plain door, sealed and metered', post(instance.url)],
      [
        'envelope door, verified too',
        () => ask({ attested, endpoint: ENDPOINT, body: new TextEncoder().encode(BODY) }),
      ],
    ]
    for (const connections of CONNECTIONS) await compare(paths, connections)
  } finally {
    await beside.stop()
    await agent.close()
  }
}

async function compare(
  paths: readonly [string, () => Promise<unknown>][],
  connections: number,
): Promise<void> {
  const walls = paths.map((): number[] => [])
  const rates = paths.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, [, call]] of paths.entries()) {
      const from = performance.now()
      await Promise.all(
        Array.from({ length: connections }, async () => {
          for (let n = 0; n < REQUESTS / connections; n++) {
            const start = performance.now()
            await call()
            walls[i]!.push(performance.now() - start)
          }
        }),
      )
      rates[i]!.push((1000 * REQUESTS) / (performance.now() - from))
    }
  const nginx = median(walls[1]!)
  table(
    `against nginx, ${connections} at a time, one replica, ${ROUNDS} rounds of ${REQUESTS}`,
    ['', 'median ms', 'p99 ms', 'requests/s', 'times nginx'],
    paths.map(([name], i) => [
      name,
      ms(median(walls[i]!)),
      ms(quantile(walls[i]!, 0.99)),
      median(rates[i]!).toFixed(0),
      (median(walls[i]!) / nginx).toFixed(1),
    ]),
  )
}
