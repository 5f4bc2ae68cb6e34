// SIGKILL of each process in turn while many callers have whole answers, streams and changes of mind, in the shared epochs
// of two replicas. Nobody is ever told a thing that is not so: what was answered has its one receipt and is metered, what
// was not is an error, and the meter is the sum of the sessions that were metered.
// Mutants: a stream's error event left out of event-stream.ts; `onLost` of the relay's supervisor; an aborted session that
// moves the meter (closing-rows.ts).
import { write } from '@sealed/client'
import { decodeReceipt, unspliceEvents } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CAPABILITY, SAMPLE } from '../support/failing-session.ts'
import { freePort } from '../support/free-port.ts'
import {
  CHAT,
  checkpointOf,
  eventually,
  type Reply,
  statementOf,
  World,
} from '../support/instance.ts'
import { Machine } from '../support/machine.ts'

const CALLERS = 24
/** Answers before each kill, and after the last. */
const BETWEEN = 60
const STREAM = { stream: true, chunks: 5, every_ms: 5 }

let world: World
let machine: Machine
let killing = true
/** Receipts by session, and what else callers were told, counted. */
const receipts = new Map<string, string>()
const told = new Map<string, number>()

beforeAll(async () => {
  world = await World.start({
    workload: 'noop',
    port: await freePort(),
    replicas: 2,
    epoch: { max_ms: 1_000, sessions: CALLERS },
    limits: { caller_sessions: 2 * CALLERS, queue: 2 * CALLERS },
  })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterAll(() => world?.close())

/** Calls until the killing is over; every third time it leaves in the middle. */
async function caller(): Promise<void> {
  for (let n = 0; killing; n++) {
    const leave = new AbortController()
    const timer = n % 3 === 2 ? setTimeout(() => leave.abort(), n % 20) : undefined
    const isStream = n % 2 === 0
    const reply = await world
      .chat(SAMPLE, isStream ? STREAM : {}, { signal: leave.signal })
      .catch(() => undefined)
    clearTimeout(timer)
    // Nothing that could be taken for the end of an answer came where the connection broke.
    if (reply) keep(reply, isStream)
    else count(leave.signal.aborted ? 'left' : 'cut')
    if (reply?.status !== 200 && !leave.signal.aborted) await ready()
  }
}

const ready = () =>
  eventually('the instance to be ready', async () => {
    const health = await world.send('/health/ready').catch(() => undefined)
    return health?.status === 200 ? true : undefined
  })

function keep({ status, code, bytes, text, receipt }: Reply, isStream: boolean): void {
  // An error in a stream has a receipt too; an answer has its end mark behind it.
  const stapled = isStream ? unspliceEvents(bytes)?.receipt : receipt
  if (status !== 200 || stapled === undefined) {
    count(`${status} ${code ?? /"code":"([^"]+)"/.exec(text)?.[1] ?? 'no end'}`)
    return
  }
  const { session } = decodeReceipt(stapled).leaf
  expect(receipts.has(session)).toBe(false)
  receipts.set(session, stapled)
}

const count = (what: string) => told.set(what, (told.get(what) ?? 0) + 1)

async function moreAnswers(): Promise<void> {
  const before = receipts.size
  await eventually(`${BETWEEN} more answers`, async () =>
    receipts.size >= before + BETWEEN ? true : undefined,
  )
}

test('processes die, and what callers were told stays so', async () => {
  const callers = Array.from({ length: CALLERS }, caller)
  const ended = Promise.all(callers)
  try {
    for (const victim of [
      () => machine.workloadPid(0),
      () => machine.relayPid(),
      () => machine.gatewayPid(),
      () => machine.nftPid(),
      () => machine.embassyPid(),
      () => machine.workloadPid(1),
      () => machine.nftPid('monitor'),
    ]) {
      await moreAnswers()
      await machine.kill(await victim())
    }
    await moreAnswers()
  } finally {
    killing = false
    await ended
  }
  const errors = [...told.keys()].filter((what) => what !== 'left' && what !== 'cut')
  for (const what of errors)
    expect(what).toMatch(
      /^(?:(?:424|200) (?:session\.aborted|workload\.failed|seal\.failed|seal\.breached)|503 (?:replica|embassy)\.unavailable)$/,
    )
  await eventually('no session to be open', async () =>
    (await machine.openSessions()).length === 0 ? true : undefined,
  )
  await world.attest()
  const roots = new Map<number, string>()
  for (const [session, receipt] of receipts) {
    // Of a receipt given out just before the embassy died the checkpoint may be a later one of the same log.
    const given = decodeReceipt(receipt)
    const kept = decodeReceipt(await world.receipt(session))
    expect([kept.index, kept.leaf]).toEqual([given.index, given.leaf])
    expect(statementOf(receipt, 'registry.applied').metered).toBe(true)
    for (const one of [given, kept]) {
      const { checkpoint } = await checkpointOf(one, world.attested)
      const root = Buffer.from(checkpoint.root).toString('hex')
      expect(roots.get(checkpoint.size) ?? root).toBe(root)
      roots.set(checkpoint.size, root)
    }
  }
  const { coverage, meters } = await world.reading()
  const written = 1
  const metered = coverage.sessions - coverage.sessions_unmetered - written
  expect(meters.map(({ millionths }) => millionths)).toEqual([1_000_000 * metered])
  expect(metered).toBeGreaterThanOrEqual(receipts.size)
  expect(metered).toBeLessThanOrEqual(receipts.size + callsWithoutAnswer())
})

const callsWithoutAnswer = (): number => [...told.values()].reduce((sum, n) => sum + n, 0)
