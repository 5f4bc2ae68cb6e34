// What a drop-in user compares with: the same no-op server bare, behind nginx, behind a bare Hono proxy, and behind our
// two doors, whose sessions share sealed epochs; answers whole and as streams, at 1, 32 and 256 at a time, in turns.
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { up } from '../scripts/up.ts'
import { type Beside, besides } from './support/beside.ts'
import { load } from './support/load.ts'
import { DOOR_ALONE, type Path, type Paths, pathsTo } from './support/paths.ts'
import { median, ms, quantile, table } from './support/table.ts'

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
/** As fast as a busy server of language models writes to each of many, for an answer of a few paragraphs. */
const STEADY: Pace = { events: 200, everyMs: 40 }
/**
 * Rounds, and how many streams each of those at a time has in one, one after the other. A crowd's first come while the
 * others do not yet, so it has two; a single stream's events are few, and how fast the machine wakes changes with time.
 */
const STREAMS = new Map([
  [1, { rounds: 5, each: 1 }],
  [32, { rounds: 1, each: 2 }],
  [256, { rounds: 1, each: 2 }],
])
/** More than two cores carry at 256 at a time. */
const BURST: Pace = { events: 20, everyMs: 10 }
const bodyOf = (more: object = {}) =>
  JSON.stringify({ model: 'noop', messages: [{ role: 'user', content: 'hello' }], ...more })
const WHOLE = bodyOf()
const streamed = ({ events, everyMs }: Pace) =>
  bodyOf({ stream: true, chunks: events, every_ms: everyMs })

export async function benchDropIn(): Promise<void> {
  const instance = await up(await mkdtemp(join(tmpdir(), 'sealed-bench-')), {
    workload: 'noop',
    epoch: { max_ms: 3_600_000, sessions: 256 },
    limits: { caller_sessions: 1_000, queue: 1_000 },
  })
  let beside: Beside | undefined
  let paths: Paths | undefined
  try {
    beside = await besides()
    paths = await pathsTo(instance, beside)
    for (const path of paths.all) await run(path, WARM_UP, 32)
    for (const path of paths.all) await burst(path, 64)
    const sealed = new Map<number, number>()
    for (const connections of REQUESTS.keys())
      sealed.set(connections, await compareWhole(paths.all, connections))
    compareWithRsa(sealed)
    for (const connections of REQUESTS.keys()) await compareStreams(paths.all, connections)
    await compareBursts(paths.all)
  } finally {
    await paths?.close()
    await beside?.stop()
    await instance.stop()
  }
}

/** Runs calls for answers that come whole. */
async function run(path: Path, requests: number, connections: number) {
  await path.prepare?.(requests, WHOLE)
  const done = await load(requests, connections, () => path.call(WHOLE, () => {}))
  await path.settle?.()
  return done
}

/** Gives the answers a second of the envelope door. */
async function compareWhole(paths: readonly Path[], connections: number): Promise<number> {
  const requests = REQUESTS.get(connections)!
  const found = paths.map(() => ({ walls: [] as number[], rates: [] as number[] }))
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, path] of paths.entries()) {
      const { walls, rate } = await run(path, requests, connections)
      found[i]!.walls.push(...walls)
      found[i]!.rates.push(rate)
    }
  const bare = found[0]!
  const hono = median(found[2]!.rates)
  table(
    `answers whole, ${connections} at a time, one replica, ${ROUNDS} rounds of ${requests}`,
    ['', 'requests/s', 'of Hono’s', 'median ms', 'added p50', 'added p99'],
    paths.map(({ name }, i) => {
      const { walls, rates } = found[i]!
      const added = (q: number) => ms(quantile(walls, q) - quantile(bare.walls, q))
      const rate = median(rates)
      const share = `${((100 * rate) / hono).toFixed(0)} %`
      return [name, rate.toFixed(0), share, ms(median(walls)), added(0.5), added(0.99)]
    }),
  )
  return median(found[paths.findIndex(({ name }) => name === DOOR_ALONE)]!.rates)
}

/** Each event says when the workload wrote it, by the clock that all processes of a machine have. */
const WRITTEN = /"content":"(\d+) "/g

/** Adds, of the events of one stream, how long each took from the workload to here. */
async function stream(path: Path, pace: Pace, delays: number[]): Promise<void> {
  const decoder = new TextDecoder()
  await path.call(streamed(pace), (piece, at) => {
    for (const [, written] of decoder.decode(piece, { stream: true }).matchAll(WRITTEN))
      delays.push((at - Number(written)) / 1000)
  })
}

/** Streams at the pace of tokens, which begin and end at any time while others go on. */
async function compareStreams(paths: readonly Path[], connections: number): Promise<void> {
  const { events, everyMs } = STEADY
  const { rounds, each } = STREAMS.get(connections)!
  const found: number[][] = paths.map(() => [])
  for (let round = 0; round < rounds; round++)
    for (const [i, path] of paths.entries()) {
      await path.prepare?.(each * connections, streamed(STEADY))
      await Promise.all(
        Array.from({ length: connections }, async (_, n) => {
          await delay((n * events * everyMs) / connections)
          for (let left = each; left > 0; left--) await stream(path, STEADY, found[i]!)
        }),
      )
      await path.settle?.()
    }
  const bare = median(found[0]!)
  table(
    `streams of ${events} events, one each ${everyMs} ms, ${connections} at a time, ${rounds * each * connections} of them`,
    ['', 'delay of an event, p50 ms', 'p99', 'added p50'],
    paths.map(({ name }, i) => {
      const delays = found[i]!
      return [name, ms(median(delays)), ms(quantile(delays, 0.99)), ms(median(delays) - bare)]
    }),
  )
}

async function burst(path: Path, connections: number) {
  const delays: number[] = []
  await path.prepare?.(connections, streamed(BURST))
  const { rate } = await load(connections, connections, () => stream(path, BURST, delays))
  await path.settle?.()
  return { rate, delays }
}

/** More streams at once than the machine carries: what gets through, and how late. */
async function compareBursts(paths: readonly Path[]): Promise<void> {
  const { events, everyMs } = BURST
  const connections = 256
  const rows: string[][] = []
  for (const path of paths) {
    const { rate, delays } = await burst(path, connections)
    rows.push([
      path.name,
      (events * rate).toFixed(0),
      ms(median(delays)),
      ms(quantile(delays, 0.99)),
    ])
  }
  table(
    `${connections} streams of ${events} events, one each ${everyMs} ms, all begun at once`,
    ['', 'events/s', 'delay of an event, p50 ms', 'p99'],
    rows,
  )
}

/** What the two RSA decryptions of an envelope alone would allow, and what the door makes of it. */
function compareWithRsa(sealed: ReadonlyMap<number, number>): void {
  const cores = availableParallelism()
  const yardsticks: [string, number][] = [
    ['openssl speed, one core', speedOf(1)],
    [`openssl speed, ${cores} cores`, speedOf(cores)],
    [`Node’s OpenSSL ${process.versions.openssl}, one core`, nodeRsa()],
  ]
  const known = yardsticks.filter(([, perSecond]) => perSecond > 0)
  const crowds = [...sealed].filter(([connections]) => connections > 1)
  table(
    'envelope door beside its RSA decryptions alone, two for each answer',
    ['', 'RSA-3072/s', 'answers/s', ...crowds.map(([connections]) => `the door’s ${connections}`)],
    known.map(([name, perSecond]) => [
      name,
      perSecond.toFixed(0),
      (perSecond / 2).toFixed(0),
      ...crowds.map(([, rate]) => `${(perSecond / 2 / rate).toFixed(2)} ×`),
    ]),
  )
}

function speedOf(cores: number): number {
  const args = [
    'speed',
    '-seconds',
    '2',
    ...(cores > 1 ? ['-multi', String(cores)] : []),
    'rsa3072',
  ]
  const { stdout } = spawnSync('openssl', args, { encoding: 'utf8' })
  return Number(/^rsa 3072 bits.*?([\d.]+)\s+[\d.]+\s*$/m.exec(stdout)?.[1])
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
