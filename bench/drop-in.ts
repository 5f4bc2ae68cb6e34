// What a drop-in user compares with: the same no-op server bare, behind nginx, behind a bare Hono proxy, and behind our
// two doors, whose sessions share sealed epochs; answers whole and as streams, at 1, 32 and 256 at a time, in turns.
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
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
interface Pace {
  events: number
  everyMs: number
}
/** As fast as a busy server of language models writes to each of many. */
const STEADY: Pace = { events: 75, everyMs: 40 }
/** Streams that each of those at a time has, one after the other. */
const STREAMS_EACH = 3
/** More than two cores carry at 256 at a time. */
const BURST: Pace = { events: 20, everyMs: 10 }
const bodyOf = (more: object = {}) =>
  JSON.stringify({ model: 'noop', messages: [{ role: 'user', content: 'hello' }], ...more })
const WHOLE = bodyOf()
const streamed = ({ events, everyMs }: Pace) =>
  bodyOf({ stream: true, chunks: events, every_ms: everyMs })

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
    await compareBursts(paths)
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

/** Of the events of one stream, how long each took from the workload to here. */
async function delaysOf(path: Path, pace: Pace): Promise<number[]> {
  const decoder = new TextDecoder()
  const delays: number[] = []
  await path(streamed(pace), (piece) => {
    const at = nowUs()
    for (const [, written] of decoder.decode(piece, { stream: true }).matchAll(WRITTEN))
      delays.push((at - Number(written)) / 1000)
  })
  return delays
}

/** Streams at the pace of tokens, which begin and end at any time while others go on. */
async function compareStreams(
  paths: readonly [string, Path][],
  connections: number,
): Promise<void> {
  const { events, everyMs } = STEADY
  const found: number[][] = []
  for (const [, path] of paths) {
    const delays: number[] = []
    await Promise.all(
      Array.from({ length: connections }, async (_, i) => {
        await delay((i * events * everyMs) / connections)
        for (let n = 0; n < STREAMS_EACH; n++) delays.push(...(await delaysOf(path, STEADY)))
      }),
    )
    found.push(delays)
  }
  const bare = median(found[0]!)
  table(
    `streams of ${events} events, one each ${everyMs} ms, ${connections} at a time, ${STREAMS_EACH * connections} of them`,
    ['', 'delay of an event, p50 ms', 'p99', 'added p50'],
    paths.map(([name], i) => {
      const delays = found[i]!
      return [name, ms(median(delays)), ms(quantile(delays, 0.99)), ms(median(delays) - bare)]
    }),
  )
}

/** More streams at once than the machine carries: what gets through, and how late. */
async function compareBursts(paths: readonly [string, Path][]): Promise<void> {
  const { events, everyMs } = BURST
  const connections = 256
  const rows: string[][] = []
  for (const [name, path] of paths) {
    const delays: number[] = []
    const { rate } = await load(connections, connections, async () => {
      delays.push(...(await delaysOf(path, BURST)))
    })
    rows.push([name, (events * rate).toFixed(0), ms(median(delays)), ms(quantile(delays, 0.99))])
  }
  table(
    `${connections} streams of ${events} events, one each ${everyMs} ms, all begun at once`,
    ['', 'events/s', 'delay of an event, p50 ms', 'p99'],
    rows,
  )
}

/** What the two RSA decryptions of an envelope alone would allow, on one core: the system's OpenSSL, and Node's own. */
function sayRsa(): void {
  const { stdout } = spawnSync('openssl', ['speed', '-seconds', '2', 'rsa3072'], {
    encoding: 'utf8',
  })
  const perSecond = /^rsa 3072 bits.*?([\d.]+)\s+[\d.]+\s*$/m.exec(stdout)?.[1]
  if (perSecond)
    process.stdout.write(
      `\nopenssl speed: ${perSecond} RSA-3072 private operations a second on one core; an envelope takes two\n`,
    )
  process.stdout.write(`Node’s OpenSSL ${process.versions.openssl}: ${nodeRsa().toFixed(0)}\n`)
}

/** Decryptions a second of a wrapped key. */
function nodeRsa(): number {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const sealed = publicEncrypt({ key: publicKey, oaepHash: 'sha256' }, Buffer.alloc(128))
  const begun = performance.now()
  let done = 0
  for (; performance.now() - begun < 2_000; done++)
    privateDecrypt({ key: privateKey, oaepHash: 'sha256' }, sealed)
  return (1000 * done) / (performance.now() - begun)
}
