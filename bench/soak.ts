// `npm run soak [seconds]`: 256 streams at once for a minute on the no-op workload, in one replica's sealed epochs. Every
// stream must end in a receipt of its own that stands in the log, the meters must be the sum of what they used, and no
// process may grow with the number of sessions. Exits with 1 where that does not hold.
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attest, createAuthority, parseAuthority, read, write } from '@sealed/client'
import { decodeReceipt, parsePolicy, unspliceEvents } from '@sealed/protocol'
import { Agent, request } from 'undici'
import { up } from '../scripts/up.ts'
import { childOf } from './support/cpu.ts'
import { table } from './support/table.ts'

const STREAMS = 256
const ENDPOINT = '/v1/chat/completions'
const seconds = Number(process.argv[2] ?? 60)
const say = (line: string) => process.stdout.write(`${line}\n`)
const text = (content: string) => ({ model: 'noop', messages: [{ role: 'user', content }] })

const made = await createAuthority()
const instance = await up(await mkdtemp(join(tmpdir(), 'sealed-soak-')), {
  workload: 'noop',
  authorities: [{ name: 'soak', ...made.entry }],
  epoch: { max_ms: 15_000, sessions: STREAMS },
  limits: { caller_sessions: 2 * STREAMS, queue: 2 * STREAMS },
})
const agent = new Agent({ connections: STREAMS })
const faults: string[] = []
try {
  const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
  const attested = await attest({ url: instance.url, policy })
  const authority = await parseAuthority(made.jwk)
  const common = { attested, endpoint: ENDPOINT, authority }
  const body = new TextEncoder().encode(JSON.stringify(text('the same as ever')))
  await write({ ...common, body, capability: 'ever' })

  const embassy = instance.embassy.pid!
  const processes = {
    gateway: instance.gateway.pid!,
    embassy,
    relay: childOf(embassy, 'relay/main.ts'),
  }
  const sizes: { at: number; mib: Record<string, number> }[] = []
  const from = performance.now()
  const watch = setInterval(() => {
    const mib = Object.entries(processes).map(([name, pid]) => [name, residentMib(pid)] as const)
    sizes.push({ at: (performance.now() - from) / 1000, mib: Object.fromEntries(mib) })
  }, 1_000)
  const ids = new Set<string>()
  let streams = 0
  const payload = JSON.stringify({
    ...text('the same as ever'),
    stream: true,
    chunks: 10,
    every_ms: 20,
  })
  await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      while (performance.now() - from < 1_000 * seconds) {
        const fault = await one(payload, ids).catch((error: Error) => error.message)
        if (fault) faults.push(fault)
        else streams += 1
      }
    }),
  )
  clearInterval(watch)
  const took = (performance.now() - from) / 1000
  say(
    `${streams} streams in ${took.toFixed(1)} s, ${(streams / took).toFixed(0)} a second, ${faults.length} failed`,
  )

  for (const id of ids) {
    const { status } = await fetch(`${instance.url}/v1/receipts/${id}`)
    if (status !== 200) faults.push(`receipt ${id}: ${status}`)
  }
  const metered = await readAll(common)
  say(`meter ${metered} millionths for ${streams} uses`)
  if (metered !== 1_000_000 * streams) faults.push('the meter is not the sum')
  const looks = [0.25, 0.5, 0.75, 1].map((part) => sizes[Math.ceil(part * sizes.length) - 1]!)
  table(
    'resident MiB',
    ['', ...looks.map(({ at }) => `after ${at.toFixed(0)} s`)],
    Object.keys(processes).map((name) => [name, ...looks.map(({ mib }) => mib[name]!.toFixed(0))]),
  )
} finally {
  await instance.stop()
  await agent.close()
}
for (const fault of new Set(faults)) say(`fault: ${fault}`)
process.exitCode = faults.length === 0 ? 0 : 1

/** One stream to its end; says what is wrong with it. */
async function one(payload: string, ids: Set<string>): Promise<string | undefined> {
  const answer = await request(`${instance.url}${ENDPOINT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: payload,
    dispatcher: agent,
  })
  const bytes = new Uint8Array(await answer.body.arrayBuffer())
  if (answer.statusCode !== 200)
    return `${answer.statusCode} ${new TextDecoder().decode(bytes).slice(0, 200)}`
  const receipt = unspliceEvents(bytes)?.receipt
  if (receipt === undefined) return 'a stream without a receipt'
  const { session } = decodeReceipt(receipt).leaf
  if (ids.has(session)) return `two receipts of ${session}`
  ids.add(session)
  return undefined
}

async function readAll(common: Parameters<typeof read>[0]): Promise<number> {
  const { reading } = await read(common)
  return reading.meters.reduce((sum, { millionths }) => sum + millionths, 0)
}

function residentMib(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')
  return (Number(pages) * 4096) / 1024 / 1024
}
