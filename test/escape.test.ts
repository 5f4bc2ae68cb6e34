// The escape matrix: nothing leaves or enters a sealed replica but what its relay carries, whatever the protocol,
// the family, the far end, the direction, or what was open before; and nothing arrives late.
// The prober sits in the replica's network namespace with rights that its container lacks (raw sockets), so what is
// proven is the firewall itself; that the container cannot even make such sockets is in escape-container.test.ts.
//
// Cells without a meaning here:
//   AF_VSOCK: no network namespace and no packet filter sees it; the container cannot open it (escape-container.test.ts)
//   raw Ethernet out: the link is point to point, with no other station to receive; a frame in is tested below
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  allDelivered,
  CELLS,
  LATE_MS,
  openFlows,
  parties,
  play,
  quiet,
  reset as resetStage,
  SPOOFED,
} from './support/escape-matrix.ts'
import { buildStage, PORT, RELAY_PORTS, run, type Stage } from './support/escape-world.ts'
import { MUTANTS } from './support/seal-mutants.ts'

const ALL = [...CELLS, ...SPOOFED]
const NAMES = ALL.map(({ name }) => name).sort()

let stage: Stage

beforeAll(async () => {
  stage = await buildStage()
})
afterAll(() => stage?.stop())

const reset = (change?: (text: string) => string) => resetStage(stage, change)

describe('the matrix', () => {
  test('has every combination as a cell', () => {
    expect(CELLS).toHaveLength(2 * 4 * 2 * 5 * 2)
    expect(new Set(NAMES).size).toBe(ALL.length)
  })

  test('delivers in every cell when the rules of the replicas are removed', async () => {
    for (const place of [stage.replica, stage.sibling]) await stage.removeRules(place)
    await openFlows(stage)
    const round = await play(stage, ALL)
    expect(await allDelivered(round, ALL)).toEqual(NAMES)
  })

  test('delivers in no cell while sealed, and nothing late after release', async () => {
    await reset()
    for (const { link } of [stage.replica, stage.sibling])
      expect((await stage.seal.seal(link)).sealed).toBe(true)
    const round = await play(stage, ALL)
    await quiet()
    expect(await round.delivered()).toEqual([])
    const { dropped_packets, rejected_packets } = await stage.seal.verify(stage.replica.link)
    expect(dropped_packets).toBeGreaterThan(0)
    expect(rejected_packets).toBeGreaterThan(0)
    for (const { link } of [stage.replica, stage.sibling]) await stage.seal.release(link)
    // No end holds a byte that its kernel would send again, so nothing can come; and nothing does.
    expect((await Promise.all(parties(stage).map((party) => party.pending()))).flat()).toEqual([])
    await quiet(LATE_MS)
    expect(await round.delivered()).toEqual([])
  })

  test('answers no spoofed source, so that no reset carries a message out', async () => {
    await reset()
    await stage.seal.seal(stage.replica.link)
    await quiet()
    const before = await stage.departures()
    const [result] = await stage.replica.agent.send([
      {
        how: 'spoofed',
        kind: 'tcp',
        version: 4,
        source: '198.18.240.2',
        to: stage.replica.link.hostAddress4,
        port: PORT,
        token: 'tok:0123456789ab',
      },
    ])
    expect(result).toBe('sent')
    await quiet()
    expect(await stage.departures()).toBe(before)
  })

  test('lets no frame without IP in', async () => {
    const frame = { how: 'frame', device: stage.replica.link.device } as const
    await stage.replica.agent.watch('eth0')
    await stage.removeRules(stage.replica)
    await stage.host.send([{ ...frame, token: 'tok:00000000f00d' }])
    await expect.poll(() => stage.replica.agent.received()).toContain('tok:00000000f00d')
    await stage.loadRules(stage.replica)
    await stage.host.send([{ ...frame, token: 'tok:0000000bad00' }])
    await quiet()
    expect(await stage.replica.agent.received()).not.toContain('tok:0000000bad00')
  })
})

describe('the relay', () => {
  const from = (port: number) => [stage.replica.link.hostAddress4, port] as const
  const call = (name: string, port: number) => ({
    name,
    kind: 'tcp' as const,
    version: 4 as const,
    to: stage.replica.link.workloadAddress4,
    port: PORT,
    from: from(port),
  })

  test('keeps its connection through seal and release, both ways', async () => {
    await reset()
    await stage.relay.open(call('relay', RELAY_PORTS[0]))
    for (const [index, turn] of ['seal', 'release', 'seal', 'release'].entries()) {
      if (turn === 'seal') await stage.seal.seal(stage.replica.link)
      else await stage.seal.release(stage.replica.link)
      const tokens = [`tok:${index}1${'0'.repeat(10)}`, `tok:${index}2${'0'.repeat(10)}`] as const
      await stage.relay.send([{ how: 'on', name: 'relay', token: tokens[0] }])
      await stage.replica.agent.send([{ how: 'on', name: 'relay', token: tokens[1] }])
      await expect.poll(() => stage.replica.agent.received()).toContain(tokens[0])
      await expect.poll(() => stage.relay.received()).toContain(tokens[1])
    }
  })

  test('opens new connections while the replica is sealed', async () => {
    await stage.seal.seal(stage.replica.link)
    await stage.relay.open(call('relay.while.sealed', RELAY_PORTS[0] + 1))
  })

  test('is the only user and the only port range that may', async () => {
    await expect(stage.host.open(call('not.the.relay', RELAY_PORTS[0] + 2))).rejects.toThrow(
      'refused',
    )
    await expect(stage.relay.open(call('port.below', RELAY_PORTS[0] - 1))).rejects.toThrow(
      'refused',
    )
    await expect(stage.relay.open(call('port.above', RELAY_PORTS[1] + 1))).rejects.toThrow(
      'refused',
    )
  })

  test('is not called back by the workload', async () => {
    const [result] = await stage.replica.agent.send([
      {
        how: 'new',
        kind: 'tcp',
        version: 4,
        to: stage.replica.link.hostAddress4,
        port: RELAY_PORTS[0] + 3,
        from: [stage.replica.link.workloadAddress4, PORT + 1],
        token: 'tok:0000000ca11b',
      },
    ])
    expect(result).toBe('Connection refused')
  })
})

describe('the checks go red', () => {
  test.each(MUTANTS)('when $name', async ({ change, delivers, late }) => {
    await reset(change)
    const round = await play(stage, ALL)
    await quiet()
    const delivered = await round.delivered()
    const expected = NAMES.filter(delivers)
    expect(expected.filter((name) => !delivered.includes(name))).toEqual([])
    await expect(stage.seal.verify(stage.replica.link)).rejects.toMatchObject({
      code: 'seal.breached',
    })
    if (late) {
      expect(delivered).toEqual([])
      for (const { link } of [stage.replica, stage.sibling]) await stage.seal.release(link)
      await quiet(LATE_MS)
      expect(await round.delivered()).toContain('before tcp 4 out outside')
    }
  })

  test('when the first gate lets something through, though the second stops it', async () => {
    await reset((text) => text.replace(/(chain gate \{\n.*\n)/, '$1\t\taccept\n'))
    const round = await play(stage, ALL)
    await quiet()
    expect(await round.delivered()).toEqual([])
    const listing = await stage.nft(`list counter inet ${stage.replica.rules.table} leaked\n`)
    expect(listing).toMatch(/packets [1-9]/)
  })
})

test('nobody but this stage was reached: the machine has no way to a real network', async () => {
  const routes = await run('ip', '-n', 'sealed-escape', 'route', 'show', 'default')
  expect(routes).toBe('')
})
