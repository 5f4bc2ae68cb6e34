// The seal over a replica's life: the egress list opens what it names and nothing else, sealing ends what it had
// opened, probes and read-backs notice what was changed behind its back, and a fault never leaves anything open.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { runProbes } from '../embassy/src/seal/probe.ts'
import { createTools } from '../embassy/src/seal/tools.ts'
import { buildImage } from '../workloads/image/build.ts'
import { type Send, startAgent, type Version } from './support/agent.ts'
import { LATE_MS, parties, quiet } from './support/escape-matrix.ts'
import {
  buildStage,
  FAR,
  MACHINE_PATH,
  OPEN_TO_ALL,
  type Place,
  PORT,
  RELAY_PORTS,
  run,
  type Stage,
  sealOn,
} from './support/escape-world.ts'

let stage: Stage
let replica: Place

beforeAll(async () => {
  stage = await buildStage()
  replica = stage.replica
})
afterAll(() => stage?.stop())

let last = 0
const token = () => `tok:${(0xface0000 + last++).toString(16).padStart(12, '0')}`

const call = (
  from: Place,
  kind: 'tcp' | 'udp',
  version: Version,
  to: string,
  port = PORT,
): Send & { token: string } => {
  const own = from.link[version === 4 ? 'workloadAddress4' : 'workloadAddress6']
  return { how: 'new', kind, version, to, from: [own, 0], port, token: token() }
}

const seen = async () => (await Promise.all(parties(stage).map((one) => one.received()))).flat()
const machine = createTools(MACHINE_PATH)
const FAMILIES = [4, 6] as const
const KINDS = ['tcp', 'udp'] as const

describe('the egress list', () => {
  test('opens nothing while sealed, what it names after release, and nothing again after the seal', async () => {
    const sends = () =>
      FAMILIES.flatMap((version) =>
        KINDS.map((kind) => call(replica, kind, version, FAR.outside[version])),
      )
    const [before, open, after] = [sends(), sends(), sends()]
    await replica.agent.send(before)
    await stage.seal.release(replica.link)
    expect((await stage.seal.check(replica.link)).sealed).toBe(false)
    await replica.agent.send(open)
    await expect.poll(seen).toEqual(expect.arrayContaining(open.map((send) => send.token)))
    expect((await stage.seal.seal(replica.link)).sealed).toBe(true)
    await replica.agent.send(after)
    await quiet()
    const all = await seen()
    expect([...before, ...after].filter((send) => all.includes(send.token))).toEqual([])
  })

  test('opens one destination, protocol and port, and hides the replica behind the machine', async () => {
    const one = await stage.inhabit(3, [{ address: FAR.outside[4], protocol: 'tcp', port: PORT }])
    await stage.seal.release(one.link)
    const allowed = call(one, 'tcp', 4, FAR.outside[4])
    const refused = [
      call(one, 'udp', 4, FAR.outside[4]),
      call(one, 'tcp', 6, FAR.outside[6]),
      call(one, 'tcp', 4, FAR.metadata[4]),
      call(one, 'tcp', 4, FAR.resolver[4]),
      call(one, 'tcp', 4, one.link.hostAddress4),
      call(one, 'tcp', 4, replica.link.workloadAddress4),
    ]
    await one.agent.send([allowed, ...refused])
    await expect.poll(seen).toContain(allowed.token)
    await quiet()
    const all = await seen()
    expect(refused.filter((send) => all.includes(send.token))).toEqual([])
    // Nobody outside may call back, though the destination is open.
    const inward = call(one, 'tcp', 4, one.link.workloadAddress4)
    const [result] = await stage.outside.send([
      { ...inward, from: [FAR.outside[4], PORT + 1] } as Send,
    ])
    expect(result).toBe('Connection refused')
  })

  test('is read back as it was loaded, whatever addresses it names', async () => {
    const addresses = [
      ...['0.0.0.0/0', '10.0.0.0/8', '10.1.2.3/9', '255.255.255.255', '198.51.100.7/32', '::/0'],
      ...['fd00::/8', 'FD00::1', '2001:db8:0:1::/64', '2001:db8::1:0:0:1', '2001:db8:0:1:2:3:4:5'],
      ...['::1', 'ff02::fb', '2001:0:0:1:0:0:0:1/128', '64:ff9b::/96'],
    ]
    const egress = addresses.flatMap((address, index) =>
      KINDS.map((protocol) => ({ address, protocol, port: 53 + index })),
    )
    const many = await stage.place(31, egress)
    await stage.seal.release(many.link)
    expect((await stage.seal.verify(many.link)).sealed).toBe(false)
  })

  test('that is empty leaves the replica sealed', async () => {
    const closed = await stage.place(4, [])
    await stage.seal.release(closed.link)
    expect((await stage.seal.verify(closed.link)).sealed).toBe(true)
  })

  // The firewall process is replaced on the way; mutant: one that is not known by its fence yet counts as a stranger.
  test('is opened and closed a thousand times without anything of it seeming to be touched by others', async () => {
    for (let round = 0; round < 1_000; round++) {
      await stage.seal.release(replica.link)
      expect((await stage.seal.seal(replica.link)).sealed).toBe(true)
      if (round % 10 === 9) await stage.seal.check(replica.link)
    }
  })

  test('works on a machine where Docker drops what is forwarded, and leaves nothing there', async () => {
    const tools = ['iptables', 'ip6tables'] as const
    const rules = async () =>
      (await Promise.all(tools.map((tool) => machine.here([tool, '-S'])))).join('')
    for (const tool of tools) {
      await machine.here([tool, '-P', 'FORWARD', 'DROP'])
      await machine.here([tool, '-N', 'DOCKER-USER'])
      await machine.here([tool, '-A', 'FORWARD', '-j', 'DOCKER-USER'])
    }
    onTestFinished(async () => {
      for (const tool of tools) await machine.here([tool, '-P', 'FORWARD', 'ACCEPT'])
    })
    const before = await rules()
    const other = sealOn('d0c5')
    await other.start()
    try {
      const pause = await stage.place(5, [])
      await stage.seal.detach(pause.link)
      const link = await other.attach(pause.pid, {
        replica: 0,
        generation: 1,
        workloadPort: PORT,
        egress: OPEN_TO_ALL,
      })
      const tenant = { ...replica, link }
      await other.release(link)
      const sends = FAMILIES.map((version) => call(tenant, 'tcp', version, FAR.outside[version]))
      const agent = startAgent(`/proc/${pause.pid}/ns/net`)
      expect(await agent.send(sends)).toEqual(['sent', 'sent'])
      await expect.poll(seen).toEqual(expect.arrayContaining(sends.map((send) => send.token)))
      await agent.stop()
    } finally {
      await other.stop()
    }
    expect(await rules()).toBe(before)
  })
})

describe('a flow that the egress list had opened', () => {
  test('dies at its first packet after the seal, whoever sends it, and nothing comes late', async () => {
    await stage.seal.release(replica.link)
    for (const version of FAMILIES)
      for (const kind of KINDS)
        for (const speaker of ['workload', 'outside'])
          await replica.agent.open({
            name: `${kind}.${version}.${speaker}`,
            kind,
            version,
            to: FAR.outside[version],
            port: PORT,
            from: [replica.link[version === 4 ? 'workloadAddress4' : 'workloadAddress6'], 0],
          })
    await stage.seal.seal(replica.link)
    const on = (speaker: string): (Send & { token: string })[] =>
      FAMILIES.flatMap((version) =>
        KINDS.map((kind) => ({
          how: 'on' as const,
          name: `${kind}.${version}.${speaker}`,
          token: token(),
        })),
      )
    const [outward, inward] = [on('workload'), on('outside')]
    await replica.agent.send(outward)
    await stage.outside.send(inward)
    await quiet()
    await stage.seal.release(replica.link)
    expect(await stage.outside.pending()).toEqual([])
    expect(await replica.agent.pending()).toEqual([])
    await quiet(LATE_MS)
    const all = await seen()
    expect([...outward, ...inward].filter((send) => all.includes(send.token))).toEqual([])
    await stage.seal.seal(replica.link)
  })
})

describe('probes', () => {
  test('find every way blocked on a sealed replica', async () => {
    const { results, reached, blocked } = await stage.seal.probe(replica.link, replica.pid)
    expect(results.filter(({ result }) => result === 'reached')).toEqual([])
    expect([reached, blocked]).toEqual([0, results.length])
    const targets = new Set(results.map(({ target }) => target))
    for (const far of [FAR.metadata[4], FAR.resolver[4], FAR.outside[4]])
      expect(targets).toContain(far)
    expect(new Set(results.map(({ kind }) => kind))).toEqual(
      new Set(['tcp', 'udp', 'dns', 'icmp', 'raw', 'witness']),
    )
  })

  test('are answered when the rules are gone, of every kind', async () => {
    await stage.removeRules(replica)
    onTestFinished(() => stage.loadRules(replica))
    const { hostAddress4, hostAddress6 } = replica.link
    const probes = [
      { kind: 'tcp', target: FAR.outside[4], port: PORT },
      { kind: 'tcp', target: FAR.metadata[6], port: PORT },
      { kind: 'udp', target: hostAddress4, port: 9 },
      { kind: 'dns', target: hostAddress6, port: 9 },
      { kind: 'icmp', target: hostAddress4 },
      { kind: 'icmp', target: hostAddress6 },
      { kind: 'raw', target: hostAddress4 },
    ] as const
    // Its patience is short, so that it costs a start little: on a busy machine an answer may miss one round.
    await expect
      .poll(() => runProbes(machine, replica.pid, probes, '/bin/busybox'), { timeout: 30_000 })
      .toEqual(probes.map(() => 'answered'))
  })

  test('are refused on a replica that is open: they would reach what it may reach', async () => {
    await stage.seal.release(replica.link)
    await expect(stage.seal.probe(replica.link, replica.pid)).rejects.toMatchObject({
      code: 'seal.failed',
    })
    await stage.seal.seal(replica.link)
  })
})

describe('faults', () => {
  test('rules changed behind its back are found by the read-back', async () => {
    const table = replica.rules.table
    await stage.nft(`insert rule inet ${table} gate ip daddr 198.18.240.2 accept\n`)
    await expect(stage.seal.verify(replica.link)).rejects.toMatchObject({ code: 'seal.breached' })
    await stage.loadRules(replica)
    expect((await stage.seal.verify(replica.link)).sealed).toBe(true)
  })

  test('rules removed behind its back fail every command until they are found', async () => {
    await stage.removeRules(replica)
    await expect(stage.seal.check(replica.link)).rejects.toMatchObject({ code: 'seal.failed' })
    await expect(stage.seal.seal(stage.sibling.link)).rejects.toMatchObject({ code: 'seal.failed' })
    const breached = await stage.seal.recover()
    expect(breached.map(({ device }) => device)).toEqual([replica.link.device])
    expect((await stage.seal.seal(stage.sibling.link)).sealed).toBe(true)
    await stage.loadRules(replica)
    expect(await stage.seal.recover()).toEqual([])
  })

  test('the death of the firewall process fails the next command and opens nothing', async () => {
    process.kill(firewallProcess(), 'SIGKILL')
    await expect(stage.seal.check(replica.link)).rejects.toMatchObject({ code: 'seal.failed' })
    const send = call(replica, 'tcp', 4, FAR.outside[4])
    expect(await replica.agent.send([send])).toEqual(['Connection refused'])
    expect(await stage.seal.recover()).toEqual([])
    expect((await stage.seal.check(replica.link)).sealed).toBe(true)
  })

  test('a replica whose namespace died is detached all the same, and its place used again', async () => {
    const lost = await stage.place(6, OPEN_TO_ALL)
    await stage.containers.remove(lost.pause)
    await stage.seal.detach(lost.link)
    const again = await stage.place(6, OPEN_TO_ALL)
    expect(again.link.workloadAddress4).toBe(lost.link.workloadAddress4)
    await expect(stage.seal.check({ ...again.link, generation: 7 })).rejects.toMatchObject({
      code: 'seal.failed',
    })
  })

  test('a start sweeps what a dead instance of its id left, and no other one', async () => {
    const dead = sealOn('dead')
    await dead.start()
    const { pid, link } = await stage.place(7, [])
    await stage.seal.detach(link)
    const spec = { replica: 0, generation: 1, workloadPort: PORT, egress: OPEN_TO_ALL }
    const left = await dead.attach(pid, spec)
    const heir = sealOn('dead')
    await heir.start()
    const names = await run('ip', '-n', 'sealed-escape', '-br', 'link')
    expect(names).not.toContain(left.device)
    expect(names).toContain(replica.link.device)
    expect(await stage.nft('list tables\n')).not.toContain('sealed_dead_0')
    expect((await stage.seal.verify(replica.link)).sealed).toBe(true)
    await heir.stop()
    await dead.stop()
  })

  test('two instances on one machine have no address in common', async () => {
    // Ids whose first choice of addresses is the same.
    const [one, other] = [sealOn('0ab1'), sealOn('0bb1')]
    await one.start()
    await other.start()
    const pause = await Promise.all([stage.place(8, []), stage.place(9, [])])
    for (const place of pause) await stage.seal.detach(place.link)
    const spec = { replica: 0, generation: 1, workloadPort: PORT, egress: [] }
    const links = [await one.attach(pause[0].pid, spec), await other.attach(pause[1].pid, spec)]
    expect(new Set(links.map((link) => link.workloadAddress4)).size).toBe(2)
    await one.stop()
    await other.stop()
  })
})

describe('a real server', () => {
  test('runs with all that was taken from it, and answers its relay while sealed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealed-server-'))
    const image = await buildImage('noop', join(directory, 'noop.tar'))
    await stage.containers.loadImage(join(directory, 'noop.tar'), image)
    await rm(directory, { recursive: true })
    const born = await stage.place(30, [])
    await stage.containers.startWorkload({
      name: 'sealed-e5ca-server',
      image,
      instance: 'e5ca',
      pause: born.pause,
      env: [{ name: 'PORT', value: String(PORT) }],
      memoryBytes: 256 * 1024 * 1024,
      pids: 64,
    })
    const fetchHealth = () => {
      const options = JSON.stringify({
        host: born.link.workloadAddress4,
        port: PORT,
        path: '/health',
        localPort: RELAY_PORTS[0] + 50 + last++,
      })
      const asRelay = ['setpriv', '--reuid=64103', '--clear-groups', process.execPath] as const
      const program = `http.get(${options}, (answer) => answer.pipe(process.stdout))`
      return run('nsenter', `--net=${MACHINE_PATH}`, '--', ...asRelay, '-e', program)
    }
    await expect.poll(() => fetchHealth().catch(() => ''), { timeout: 20_000 }).toMatch(/\{/)
    expect((await stage.seal.check(born.link)).sealed).toBe(true)
  })
})

/** The child of this process that is the persistent nft. */
function firewallProcess(): number {
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${entry}/status`, 'utf8'))?.[1]
      const line = readFileSync(`/proc/${entry}/cmdline`, 'utf8')
      if (Number(parent) === process.pid && line.startsWith('nft\0-i')) return Number(entry)
    } catch {
      // It ended between the listing and the look.
    }
  }
  throw new Error('no firewall process of this test was found')
}
