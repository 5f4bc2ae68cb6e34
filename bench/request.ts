// Where the time of a request goes, with the no-op workload: of a lone one step by step from its statements, CPU by
// process, waits for the TPM and for the disk apart; and CPU by process where many come at a time.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, attest } from '@sealed/client'
import { decodeReceipt, parsePolicy, unspliceReceipt } from '@sealed/protocol'
import { type Instance, up } from '../scripts/up.ts'
import { load } from './support/load.ts'
import { type Process, processesOf } from './support/processes.ts'
import { median, ms, quantile, table } from './support/table.ts'

const REQUESTS = 500
/** Compiling goes on for some hundred requests in each process; what is shown is what a running one costs. */
const WARM_UP = 1_000
const FSYNC_REQUESTS = 50
const CALLERS = 32
const CROWD_REQUESTS = 640
const CROWD_ROUNDS = 5
const ENDPOINT = '/v1/chat/completions'
const BODY = JSON.stringify({
  model: 'noop',
  messages: [{ role: 'user', content: 'a lone request' }],
})

/** `trace`: whether strace is here to count what reaches the disk. */
export async function benchRequest(instance: Instance, trace: boolean): Promise<void> {
  const plain = () => plainReceipt(instance)
  const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
  const attested = await attest({ url: instance.url, policy })
  const envelope = async () =>
    (
      await ask({
        attested,
        endpoint: ENDPOINT,
        body: new TextEncoder().encode(BODY),
        verdict: 'report',
      })
    ).receipt!
  await door(instance, 'plain door', plain)
  await door(instance, 'envelope door (client included in the wall time, not in the CPU)', envelope)
  if (trace) await fsyncs(instance, plain)
}

/** CPU of a request where many callers are waiting: what a commit, a quote or a wake-up costs is shared by several. */
export async function benchCrowd(): Promise<void> {
  const crowds = [
    ['each request sealed by itself, 8 replicas', { replicas: 8 }],
    ['one epoch, one replica', { epoch: { max_ms: 3_600_000, sessions: 64 } }],
  ] as const
  for (const [name, options] of crowds) {
    const state = await mkdtemp(join(tmpdir(), 'sealed-bench-'))
    const instance = await up(state, { workload: 'noop', ...options })
    try {
      const call = async () => void (await plainReceipt(instance))
      await load(WARM_UP, CALLERS, call)
      const processes = processesOf(instance)
      const spent: number[][] = []
      const rates: number[] = []
      for (let round = 0; round < CROWD_ROUNDS; round++) {
        const before = processes.map(({ spentMs }) => spentMs())
        rates.push((await load(CROWD_REQUESTS, CALLERS, call)).rate)
        spent.push(processes.map(({ spentMs }, i) => (spentMs() - before[i]!) / CROWD_REQUESTS))
      }
      const rate = median(rates).toFixed(0)
      cpuTable(`${CALLERS} callers, ${name}, ${rate} requests/s`, processes, spent)
    } finally {
      await instance.stop()
    }
  }
}

async function plainReceipt(instance: Instance): Promise<string> {
  const response = await fetch(`${instance.url}${ENDPOINT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: BODY,
  })
  return unspliceReceipt(new Uint8Array(await response.arrayBuffer()))!.receipt
}

async function door(
  instance: Instance,
  name: string,
  request: () => Promise<string>,
): Promise<void> {
  for (let i = 0; i < WARM_UP; i++) await request()
  const processes = processesOf(instance)
  const walls: number[] = []
  const receipts: string[] = []
  const spent: number[][] = []
  let before = processes.map(({ spentMs }) => spentMs())
  for (let i = 0; i < REQUESTS; i++) {
    const from = performance.now()
    receipts.push(await request())
    walls.push(performance.now() - from)
    const now = processes.map(({ spentMs }) => spentMs())
    spent.push(now.map((ms, k) => ms - before[k]!))
    before = now
  }
  table(
    `${name}: ${REQUESTS} requests, one after another, ms`,
    ['', 'median', 'p99'],
    [
      ['whole request, as the client sees it', ms(median(walls)), ms(quantile(walls, 0.99))],
      ...steps(receipts),
    ],
  )
  cpuTable(name, processes, spent)
}

/** `spent`: of each request, or each round of requests, what every process spent a request. */
function cpuTable(
  title: string,
  processes: readonly Process[],
  spent: readonly (readonly number[])[],
): void {
  const sumOfOurs = (row: readonly number[]) =>
    row.reduce((sum, one, i) => sum + (processes[i]!.ours ? one : 0), 0)
  const line = (name: string, values: readonly number[]) => [
    name,
    ms(median(values)),
    ms(values.reduce((sum, one) => sum + one, 0) / values.length),
  ]
  table(
    `${title}: CPU, ms a request`,
    ['process', 'median', 'mean'],
    [
      ...processes.map(({ name }, i) =>
        line(
          name,
          spent.map((row) => row[i]!),
        ),
      ),
      line('all of ours', spent.map(sumOfOurs)),
    ],
  )
}

/** Time between consecutive statements. */
function steps(receipts: readonly string[]): string[][] {
  const lists = receipts.map((receipt) => decodeReceipt(receipt).leaf.statements)
  return lists[0]!.slice(1).map((statement, i) => {
    const spans = lists.map(
      (list) => Number(BigInt(list[i + 1]!.mono_us) - BigInt(list[i]!.mono_us)) / 1000,
    )
    return [`  to ${statement.type}`, ms(median(spans)), ms(quantile(spans, 0.99))]
  })
}

/** Counts what reaches the disk, from outside the process. */
async function fsyncs(instance: Instance, request: () => Promise<string>): Promise<void> {
  const args = ['-f', '-e', 'trace=fsync,fdatasync', '-T', '-p', String(instance.embassy.pid!)]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  strace.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  while (!output.includes('attached')) await delay(20)
  for (let i = 0; i < 5; i++) await request()
  const from = calls(output).length
  for (let i = 0; i < FSYNC_REQUESTS; i++) await request()
  strace.kill('SIGINT')
  await once(strace, 'exit')
  const waits = calls(output).slice(from)
  table(
    `the disk, ${FSYNC_REQUESTS} requests`,
    ['', ''],
    [
      ['fsyncs a request', (waits.length / FSYNC_REQUESTS).toFixed(2)],
      ['one fsync, median ms', ms(1000 * median(waits))],
      [
        'waiting for them, ms a request',
        ms((1000 * waits.reduce((sum, wait) => sum + wait, 0)) / FSYNC_REQUESTS),
      ],
    ],
  )
}

const calls = (output: string): number[] =>
  [...output.matchAll(/(?:fsync|fdatasync)(?:\(| resumed).*<([\d.]+)>/g)].map(([, seconds]) =>
    Number(seconds),
  )
