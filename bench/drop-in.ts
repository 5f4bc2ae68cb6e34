// What a drop-in user compares with: the same no-op server bare, behind nginx, behind a bare Hono proxy, and behind our
// two doors, whose sessions share sealed epochs; answers whole and as streams, at 1, 32 and 256 at a time, in turns.
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSealedFetch } from '@sealed/client'
import { parsePolicy } from '@sealed/protocol'
import { Agent, request as undiciRequest } from 'undici'
import { up } from '../scripts/up.ts'
import { type Beside, besides } from './support/beside.ts'
import { load } from './support/load.ts'
import { median, ms, quantile, table } from './support/table.ts'

const ENDPOINT = '/v1/chat/completions'
const ROUNDS = 3
/** Requests of one round, by how many run at a time. */
const REQUESTS = new Map([
  [1, 100],
  [32, 640],
  [256, 1_280],
])
/** Of each path: compiling goes on for some hundred requests, in more processes behind our doors than beside them. */
const WARM_UP = 1_000
const CHUNKS = 20
const EVERY_MS = 10
const bodyOf = (more: object = {}) =>
  JSON.stringify({ model: 'noop', messages: [{ role: 'user', content: 'hello' }], ...more })
const WHOLE = bodyOf()
const STREAMED = bodyOf({ stream: true, chunks: CHUNKS, every_ms: EVERY_MS })

/** Calls for an answer and hands its pieces on as they come. */
type Path = (body: string, take: (piece: Uint8Array) => void) => Promise<void>

export async function benchDropIn(): Promise<void> {
  const instance = await up(await mkdtemp(join(tmpdir(), 'sealed-bench-')), {
    workload: 'noop',
    epoch: { max_ms: 3_600_000, sessions: 256 },
    limits: { caller_sessions: 1_000, queue: 1_000 },
  })
  const agent = new Agent({ connections: 256 })
  let beside: Beside | undefined
  try {
    beside = await besides()
    const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
    const sealed = createSealedFetch({ gateway: instance.url, policy })
    const { nginx, hono, bare } = beside
    const plain =
      (base: string): Path =>
      async (body, take) => {
        const headers = { 'content-type': 'application/json' }
        const options = { method: 'POST', headers, body, dispatcher: agent } as const
        const answer = await undiciRequest(`${base}${ENDPOINT}`, options)
        for await (const piece of answer.body as AsyncIterable<Uint8Array>) take(piece)
        if (answer.statusCode !== 200) throw new Error(`${base} answered ${answer.statusCode}`)
      }
    const paths: [string, Path][] = [
      ['the workload, bare', plain(bare)],
      ['nginx', plain(nginx)],
      ['bare Hono proxy', plain(hono)],
      ['plain door', plain(instance.url)],
      [
        'envelope door, verified',
        async (body, take) => {
          const headers = { 'content-type': 'application/json' }
          const answer = await sealed(`${instance.url}${ENDPOINT}`, {
            method: 'POST',
            headers,
            body,
          })
          if (!answer.ok) throw new Error(`envelope door: ${answer.status} ${await answer.text()}`)
          for await (const piece of answer.body as unknown as AsyncIterable<Uint8Array>) take(piece)
        },
      ],
    ]
    for (const [, path] of paths) await load(WARM_UP, 32, () => path(WHOLE, () => {}))
    for (const connections of REQUESTS.keys()) await compareWhole(paths, connections)
    for (const connections of REQUESTS.keys()) await compareStreams(paths, connections)
    sayRsa()
  } finally {
    await beside?.stop()
    await instance.stop()
    await agent.close()
  }
}

async function compareWhole(paths: readonly [string, Path][], connections: number): Promise<void> {
  const requests = REQUESTS.get(connections)!
  const found = paths.map(() => ({ walls: [] as number[], rates: [] as number[] }))
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, [, path]] of paths.entries()) {
      const { walls, rate } = await load(requests, connections, () => path(WHOLE, () => {}))
      found[i]!.walls.push(...walls)
      found[i]!.rates.push(rate)
    }
  const bare = found[0]!
  const hono = median(found[2]!.rates)
  table(
    `answers whole, ${connections} at a time, one replica, ${ROUNDS} rounds of ${requests}`,
    ['', 'requests/s', 'of Hono’s', 'median ms', 'added p50', 'added p99'],
    paths.map(([name], i) => {
      const { walls, rates } = found[i]!
      const added = (q: number) => ms(quantile(walls, q) - quantile(bare.walls, q))
      const rate = median(rates)
      const share = `${((100 * rate) / hono).toFixed(0)} %`
      return [name, rate.toFixed(0), share, ms(median(walls)), added(0.5), added(0.99)]
    }),
  )
}

/** Each event says when the workload wrote it, by the clock that all processes of a machine have. */
const WRITTEN = /"content":"(\d+) "/g
const nowUs = () => Number(process.hrtime.bigint() / 1000n)

async function compareStreams(
  paths: readonly [string, Path][],
  connections: number,
): Promise<void> {
  const requests = Math.max(connections, 20)
  const found = paths.map(() => ({ delays: [] as number[], rates: [] as number[] }))
  for (const [i, [, path]] of paths.entries()) {
    const { delays, rates } = found[i]!
    const { rate } = await load(requests, connections, () => {
      const decoder = new TextDecoder()
      return path(STREAMED, (piece) => {
        const at = nowUs()
        for (const [, written] of decoder.decode(piece, { stream: true }).matchAll(WRITTEN))
          delays.push((at - Number(written)) / 1000)
      })
    })
    rates.push(rate)
  }
  table(
    `streams of ${CHUNKS} events, one each ${EVERY_MS} ms, ${connections} at a time, ${requests} of them`,
    ['', 'streams/s', 'delay of an event, p50 ms', 'p99'],
    paths.map(([name], i) => {
      const { delays, rates } = found[i]!
      return [name, rates[0]!.toFixed(1), ms(median(delays)), ms(quantile(delays, 0.99))]
    }),
  )
}

/** What the two RSA decryptions of an envelope alone would allow, on one core. */
function sayRsa(): void {
  const { stdout } = spawnSync('openssl', ['speed', '-seconds', '2', 'rsa3072'], {
    encoding: 'utf8',
  })
  const perSecond = /^rsa 3072 bits.*?([\d.]+)\s+[\d.]+\s*$/m.exec(stdout)?.[1]
  if (perSecond)
    process.stdout.write(
      `\nopenssl speed: ${perSecond} RSA-3072 private operations a second on one core; an envelope takes two\n`,
    )
}
