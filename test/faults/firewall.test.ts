// The firewall and the containers taken away behind the embassy's back, between sessions and during one; the firewall's
// processes also held, so that they live and say nothing. Nothing is revealed to a replica that is not provably sealed,
// nothing is answered that was computed while it was not, nobody waits for long, and the instance mends itself.
// Mutants: without `fleet.check` in `judge` (embassy/src/session/judge.ts) everything changed during a session goes
// unseen and its answer is given; without the reading in `seal` (nft-seal.ts) a session is opened with no firewall
// process at all; without `touched` in `check` (nft-seal.ts) a way out that was opened and closed again goes unseen;
// without the timer in `#send` (nft.ts) or in `passed` (watch.ts), or the kill in either's `#fail`, a held one is waited
// for without end.
import { write } from '@sealed/client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../scripts/world/run.ts'
import { CAPABILITY, Failures, replicaOf, SAMPLE } from '../support/failing-session.ts'
import { abortOf, CHAT, eventually, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { expectRefusal } from '../support/refusals.ts'

let world: World
let machine: Machine
const failures = new Failures(() => world)

beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    limits: { workload_ms: 5_000, activations_ms: 500 },
  })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterAll(() => world?.close())

/** A session that is under way while `harm` is done, and its answer. */
async function during(harm: () => Promise<unknown>, boundMs = 100_000) {
  await world.serving()
  const signal = AbortSignal.timeout(boundMs)
  const asked = world.chat(SAMPLE, { behave: { name: 'slow', ms: 1_500 } }, { signal })
  const id = await eventually('a session', async () => (await machine.openSessions())[0])
  await harm()
  return { id, reply: await asked }
}

/** Withheld, not metered, its replica replaced; and what comes next is answered and metered once. */
async function expectWithheld(
  { id, reply }: Awaited<ReturnType<typeof during>>,
  before: number,
  reasons: readonly string[],
): Promise<void> {
  expect(reply.status).toBe(424)
  expect(reply.headers.get('x-should-retry')).toBe('false')
  const receipt = await world.receipt(id)
  expect(reply.receipt).toBe(receipt)
  expect(reasons).toContain(abortOf(receipt))
  failures.spent.add(replicaOf(receipt))
  failures.expectFresh((await world.serving()).receipt!)
  expect(await world.meter(CAPABILITY)).toBe(before)
  expect((await world.chat(SAMPLE)).status).toBe(200)
  expect(await world.meter(CAPABILITY)).toBe(before + 1_000_000)
}

const meter = async () => (await world.meter(CAPABILITY))!

describe('the firewall process killed', () => {
  test('between sessions: the next one is refused before anything is revealed, those after it are served', async () => {
    await world.serving()
    const made = await world.leavesMadeBy(async () => {
      const old = await machine.nftPid()
      await machine.kill(old)
      const refused = await world.chat(SAMPLE)
      expectRefusal(refused, { status: 503, code: 'seal.failed' })
      expect(await machine.openSessions()).toEqual([])
      await eventually('another firewall process', async () => {
        const now = await machine.nftPid()
        return now === old ? undefined : now
      })
    })
    expect(made).toBe(0)
  })

  test.each([
    ['the one that changes', '-i'],
    ['the one that watches', 'monitor'],
  ] as const)('during a session, %s: its answer is withheld', async (_, kind) => {
    const before = await meter()
    const harmed = await during(async () => machine.kill(await machine.nftPid(kind)))
    expect(harmed.reply.code).toBe('seal.failed')
    await expectWithheld(harmed, before, ['seal.failed'])
  })
})

describe('the firewall process held by SIGSTOP', () => {
  // An answer of nft is waited for 2 s, and what a session may take otherwise is in the limits above.
  const BOUND_MS = 30_000
  const held = new Set<number>()
  let embassy: number

  beforeAll(async () => {
    embassy = await machine.embassyPid()
  })
  afterEach(() => {
    for (const pid of held) letGo(pid)
  })

  const hold = async (kind: '-i' | 'monitor') => {
    const pid = await machine.nftPid(kind)
    held.add(pid)
    process.kill(pid, 'SIGSTOP')
  }
  const letGo = (pid: number) => {
    held.delete(pid)
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // It was killed by the embassy, as it should be.
    }
  }
  /** Every one that is held has been replaced, by the same embassy, without waiting for it. */
  const replaced = async (...kinds: ('-i' | 'monitor')[]) => {
    for (const kind of kinds)
      await eventually(`another ${kind}`, async () =>
        held.has(await machine.nftPid(kind)) ? undefined : true,
      )
    expect(await machine.embassyPid()).toBe(embassy)
  }
  const asking = () => world.chat(SAMPLE, {}, { signal: AbortSignal.timeout(BOUND_MS) })

  test('between sessions, the one that changes: the next one is refused before anything is revealed', async () => {
    await world.serving()
    const before = await meter()
    const made = await world.leavesMadeBy(async () => {
      await hold('-i')
      expectRefusal(await asking(), { status: 503, code: 'seal.failed' })
      expect(await machine.openSessions()).toEqual([])
      await replaced('-i')
    })
    expect(made).toBe(0)
    expect((await asking()).status).toBe(200)
    expect(await meter()).toBe(before + 1_000_000)
  })

  test('between sessions, the one that watches: the next one’s answer is withheld', async () => {
    await world.serving()
    const before = await meter()
    await hold('monitor')
    const reply = await asking()
    const id = reply.headers.get('sealed-receipt-id')!
    await expectWithheld({ id, reply }, before, ['seal.failed'])
    await replaced('monitor')
  })

  test.each([
    ['the one that changes', ['-i']],
    ['the one that watches', ['monitor']],
    ['both', ['-i', 'monitor']],
  ] as const)('during a session, %s: its answer is withheld', async (_, kinds) => {
    const before = await meter()
    const harmed = await during(async () => {
      for (const kind of kinds) await hold(kind)
    }, BOUND_MS)
    expect(harmed.reply.code).toBe('seal.failed')
    await expectWithheld(harmed, before, ['seal.failed'])
    await replaced(...kinds)
  })

  test('while a replica is being replaced: the next one is born by the next process', async () => {
    const spent = replicaOf((await world.serving()).receipt!)
    const before = await meter()
    await hold('-i')
    await machine.kill(await machine.workloadPid())
    const next = await world.serving()
    expect(replicaOf(next.receipt!)).not.toBe(spent)
    await replaced('-i')
    expect((await asking()).status).toBe(200)
    expect(await meter()).toBe(before + 1_000_000)
  })
})

describe('rules changed during a session: its answer is withheld when', () => {
  test.each<[string, () => string[][]]>([
    [
      'the way out is opened',
      () => [['add', 'element', 'inet', machine.table(), 'open', `{ "${machine.device()}" }`]],
    ],
    [
      'the way out is opened and closed again',
      () =>
        ['add', 'delete'].map((verb) => [
          verb,
          ...['element', 'inet', machine.table(), 'open', `{ "${machine.device()}" }`],
        ]),
    ],
    ['a rule is added', () => [['insert', 'rule', 'inet', machine.table(), 'gate', 'accept']]],
    ['a chain is emptied', () => [['flush', 'chain', 'netdev', machine.table(), 'from_workload']]],
    ['a table is gone', () => [['delete', 'table', 'inet', machine.table()]]],
    [
      'both tables are gone',
      () => ['inet', 'netdev'].map((family) => ['delete', 'table', family, machine.table()]),
    ],
  ])('%s', async (_, commands) => {
    const before = await meter()
    const harmed = await during(async () => {
      for (const command of commands()) await machine.nft(...command)
    })
    // An emptied chain drops the answer too: then the deadline comes first.
    const reasons = ['seal.breached', 'seal.failed', 'deadline']
    await expectWithheld(harmed, before, reasons)
  })

  test('but not when somebody changes rules of their own', async () => {
    const before = await meter()
    const { reply } = await during(async () => {
      await machine.nft('add', 'table', 'inet', 'somebody_elses')
      await machine.nft('delete', 'table', 'inet', 'somebody_elses')
    })
    expect(reply.status).toBe(200)
    expect(await meter()).toBe(before + 1_000_000)
  })

  test('and a change that was made before it is seen at the end of the next one', async () => {
    await world.serving()
    const before = await meter()
    await machine.nft('insert', 'rule', 'inet', machine.table(), 'gate', 'accept')
    const reply = await world.chat(SAMPLE)
    const id = reply.headers.get('sealed-receipt-id')!
    await expectWithheld({ id, reply }, before, ['seal.breached'])
  })
})

describe('taken away behind the embassy’s back', () => {
  test('the workload’s container, between sessions', async () => {
    const spent = replicaOf((await world.serving()).receipt!)
    await machine.containers.remove(machine.container())
    const next = await eventually('another replica', async () => {
      const reply = await world.chat('still there?').catch(() => undefined)
      return reply?.status === 200 && replicaOf(reply.receipt!) !== spent ? reply : undefined
    })
    failures.expectFresh(next.receipt!)
  })

  test('the workload’s container, during a session', async () => {
    const before = await meter()
    const harmed = await during(() => machine.containers.remove(machine.container()))
    await expectWithheld(harmed, before, ['workload.failed', 'replica.lost'])
  })

  test('the link, during a session', async () => {
    const before = await meter()
    const harmed = await during(() => run('ip', ['link', 'del', machine.device()]))
    await expectWithheld(harmed, before, [
      'workload.failed',
      'seal.breached',
      'seal.failed',
      'deadline',
    ])
  })

  test('the container that holds the network, between sessions', async () => {
    await world.serving()
    await machine.containers.remove(machine.container(0, 'pause'))
    const before = await meter()
    await world.serving()
    expect(await meter()).toBe(before)
  })
})
