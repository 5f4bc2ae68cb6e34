// The escape matrix again, spoken from inside containers that gVisor's runsc runs: its sockets are the replica's own, so
// the same firewall stands before them, and the same probes see what they see.
// Mutants: those of the ruleset (support/seal-mutants.ts); the workload started with runc (`Runtime` left out of
// hardening.ts); an engine whose runsc is started without --dcache=0, or without --network=host, and with the check for
// it taken out of runtime.ts.
//
// Cells without a meaning here:
//   icmp, raw, spoofed: the sandbox opens no raw socket whoever asks, though it does not know the engine's profile
import { chownSync, readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { clear } from '../embassy/src/activations/sweep.ts'
import {
  type Containers,
  createContainers,
  type WorkloadSpec,
} from '../embassy/src/containers/index.ts'
import { mountActivations, unmountBelow } from '../embassy/src/replicas/activations-mount.ts'
import {
  allDelivered,
  CELLS,
  LATE_MS,
  openFlows,
  parties,
  play,
  quiet,
  reset,
} from './support/escape-matrix.ts'
import { buildStage, FAR, OPEN_TO_ALL, PORT, run, type Stage } from './support/escape-world.ts'
import { eventually } from './support/instance.ts'
import { type OwnEngine, RUNSC, startEngine } from './support/own-engine.ts'
import { buildPerlImage, hasty } from './support/perl-image.ts'
import { agentIn, buildPythonImage } from './support/python-image.ts'
import { MUTANTS } from './support/seal-mutants.ts'
import { CALLS, inside as insideOf, OPEN_SOCKETS, SHUT_SOCKETS } from './support/system-calls.ts'
import { READ_ONLY, TRIES, weightsIn } from './support/weights-mount.ts'

const ALL = CELLS.filter(({ name }) => / (tcp|udp) /.test(name))
const NAMES = ALL.map(({ name }) => name).sort()
const TIMES = 10

let engine: OwnEngine
let containers: Containers
let stage: Stage
let directory: string
let perl: string
let pause: string
let births = 0

beforeAll(async () => {
  engine = await startEngine({ runsc: RUNSC })
  containers = createContainers(engine.socketPath)
  directory = await mkdtemp(join(tmpdir(), 'sealed-runsc-'))
  chownSync(directory, 64102, 64102)
  const load = async (name: string, build: (out: string) => Promise<string>) => {
    const archive = join(directory, `${name}.tar`)
    const image = await build(archive)
    await containers.loadImage(archive, image)
    return image
  }
  perl = await load('perl', buildPerlImage)
  const python = await load('python', buildPythonImage)
  stage = await buildStage({
    containers,
    inhabitant: async (place) => {
      const agent = spec([], { image: python, pause: place.pause, memoryBytes: 1 << 29 })
      const { command: _, ...asBuilt } = agent
      return agentIn(engine.docker, (await containers.startWorkload(asBuilt)).id)
    },
  })
  pause = (await stage.place(2, OPEN_TO_ALL)).pause
})
afterAll(async () => {
  await stage?.stop()
  await engine?.stop()
  if (directory) await rm(directory, { recursive: true })
})

const spec = (command: readonly string[], more: Partial<WorkloadSpec> = {}): WorkloadSpec => ({
  name: `sealed-e5ca-workload-${births++}`,
  image: perl,
  instance: 'e5ca',
  pause,
  env: [],
  memoryBytes: 1 << 28,
  pids: 1024,
  command,
  runtime: 'runsc',
  ...more,
})
const inside = (program: string, more: Partial<WorkloadSpec> = {}) =>
  insideOf(containers, directory, (command, mount) => spec(command, { ...mount, ...more }), program)

describe('the matrix', () => {
  test('delivers in every cell when the rules of the replicas are removed', async () => {
    for (const place of [stage.replica, stage.sibling]) await stage.removeRules(place)
    await openFlows(stage)
    expect(await allDelivered(await play(stage, ALL), ALL)).toEqual(NAMES)
  })

  test('delivers in no cell while sealed, and nothing late after release', async () => {
    await reset(stage)
    for (const { link } of [stage.replica, stage.sibling])
      expect((await stage.seal.seal(link)).sealed).toBe(true)
    const round = await play(stage, ALL)
    await quiet()
    expect(await round.delivered()).toEqual([])
    const { rejected_packets } = await stage.seal.verify(stage.replica.link)
    expect(rejected_packets).toBeGreaterThan(0)
    for (const { link } of [stage.replica, stage.sibling]) await stage.seal.release(link)
    await quiet(LATE_MS)
    expect(await round.delivered()).toEqual([])
  })

  test.each(MUTANTS)('goes red when $name', async ({ change, delivers, late }) => {
    await reset(stage, change)
    const round = await play(stage, ALL)
    await quiet()
    const delivered = await round.delivered()
    expect(NAMES.filter(delivers).filter((name) => !delivered.includes(name))).toEqual([])
    if (late) {
      expect(delivered).toEqual([])
      for (const { link } of [stage.replica, stage.sibling]) await stage.seal.release(link)
      await quiet(LATE_MS)
      expect(await round.delivered()).toContain('before tcp 4 out outside')
    }
  })
})

describe('the egress list', () => {
  const toOutside = ALL.filter(({ name }) => name.endsWith(' out outside'))

  test('opens what it names after release, and the seal ends what it had opened', async () => {
    for (const place of [stage.replica, stage.sibling]) await stage.loadRules(place)
    await stage.seal.release(stage.replica.link)
    for (const kind of ['tcp', 'udp'] as const)
      for (const version of [4, 6] as const)
        await stage.replica.agent.open({
          ...{ name: `${kind}.${version}.out.outside`, kind, version, port: PORT },
          to: FAR.outside[version],
          from: [stage.replica.link[version === 4 ? 'workloadAddress4' : 'workloadAddress6'], 0],
        })
    const open = await play(stage, toOutside)
    const names = toOutside.map(({ name }) => name).sort()
    expect(await allDelivered(open, toOutside)).toEqual(names)
    expect((await stage.seal.seal(stage.replica.link)).sealed).toBe(true)
    const shut = await play(stage, toOutside)
    await quiet()
    await stage.seal.release(stage.replica.link)
    await quiet(LATE_MS)
    expect(await shut.delivered()).toEqual([])
    expect((await Promise.all(parties(stage).map((one) => one.pending()))).flat()).toEqual([])
    await stage.seal.seal(stage.replica.link)
  })
})

describe('probes', () => {
  test('look from where the workload is: its address is in the namespace that they enter', async () => {
    const { link, pid } = stage.replica
    const addresses = await run('nsenter', `--net=/proc/${pid}/ns/net`, 'ip', '-o', 'addr')
    expect(addresses).toContain(` ${link.workloadAddress4}/`)
    expect(addresses).toContain(` ${link.workloadAddress6}/`)
    const { reached, blocked, results } = await stage.seal.probe(link, pid)
    expect([reached, blocked]).toEqual([0, results.length])
  })
})

describe('a workload whose first instruction connects out', () => {
  const call = async (token: string, holder: string) => {
    const command = hasty([FAR.outside[4], FAR.outside[6]], PORT, token)
    const { id } = await containers.startWorkload(spec(command, { pause: holder }))
    await containers.ended(id)
    await containers.remove(id)
  }

  test(`delivers 0 of ${TIMES} at start, and does when its replica is released`, async () => {
    const tokens = Array.from({ length: TIMES }, (_, turn) => `tok:aaaa0000000${turn}`)
    for (const token of tokens) await call(token, pause)
    const born = await stage.place(20, OPEN_TO_ALL)
    await stage.seal.release(born.link)
    await call('tok:dddd00000000', born.pause)
    await expect.poll(() => stage.outside.received()).toContain('tok:dddd00000000')
    const received = await stage.outside.received()
    expect(tokens.filter((token) => received.includes(token))).toEqual([])
  })
})

describe('a container', () => {
  test('runs on a kernel that is not this machine’s, as a user without capabilities', async () => {
    const { result } = await inside(
      `for (qw(version self/status)) { open(S, '/proc/' . $_); print RESULT <S> }`,
    )
    expect(result).not.toContain(await readFile('/proc/version', 'utf8'))
    expect(result).toMatch(/^Uid:\t64102\t64102\t64102\t64102$/m)
    expect(result).toMatch(/^CapEff:\t0{16}$/m)
    expect(result).toMatch(/^CapBnd:\t0{16}$/m)
  })

  // Netlink tells of the sandbox's own kernel, where there is nothing to tell. Ping sockets, which later versions than
  // Debian 12's open, send what the firewall refuses of any sender (escape.test.ts).
  const OF_NO_USE = /^(?:kernel events|ping6?)$/

  test('opens TCP, UDP and no other socket out of it, not even as root of a namespace of its own', async () => {
    const kinds = [...OPEN_SOCKETS, ...SHUT_SOCKETS]
    const tries = kinds.map(
      ([, ...args]) => `print RESULT (syscall(${CALLS.socket}, ${args}) < 0 ? $! + 0 : 0), ' '`,
    )
    const asRoot = `print RESULT syscall(${CALLS.unshare}, 0x10000000), "\\n"`
    for (const before of ['print RESULT "0\\n"', asRoot]) {
      const { result } = await inside([before, ...tries].join('; '))
      const [made, errors] = result.split('\n')
      expect(made).toBe('0')
      const numbers = errors!.trim().split(' ').map(Number)
      const open = kinds.filter((_, index) => numbers[index] === 0).map(([name]) => name)
      expect(open.filter((name) => !OF_NO_USE.test(name))).toEqual(
        OPEN_SOCKETS.map(([name]) => name),
      )
    }
  })

  test('writes to /tmp and /activations only, and runs nothing from /tmp', async () => {
    const write = (path: string) => `print RESULT (open(F, '>', '${path}') ? 0 : $! + 0), ' '`
    const run = `open(F, '>', '/tmp/x'); print F "#!/usr/bin/perl\\n"; close F; chmod 0755, '/tmp/x'; exec('/tmp/x') or print RESULT $! + 0`
    const { result } = await inside(
      [...['/x', '/usr/x', '/etc/x', '/tmp/y', '/activations/y'].map(write), run].join('; '),
    )
    expect(result).toBe('13 13 13 0 0 13')
  })

  test('reads weights where they are mounted, and writes nothing there', async () => {
    const { result } = await inside(TRIES, await weightsIn(directory))
    expect(result).toBe(READ_ONLY)
  })

  test('asks no name server but its own loopback', async () => {
    const { result } = await inside(
      `open(S, '/etc/resolv.conf'); print RESULT grep /^nameserver/, <S>`,
    )
    expect(result).toBe('nameserver 127.0.0.1\n')
  })

  test('ends, sandbox and all, where it takes more memory or more processes than it was given', async () => {
    const hungry = await inside(`$n = shift || 1 << 29; $x = 'x' x $n; print RESULT 'had it'`)
    expect(hungry).toMatchObject({ exitCode: 137, result: '' })
    const fork = `for (1..200) { defined($p = fork) or last; if (!$p) { sleep 60; exit } } print RESULT 'had them'`
    const many = await inside(fork, { pids: 64 })
    expect(many.result).toBe('')
    expect(many.exitCode).not.toBe(0)
  })
})

describe('activations', () => {
  test('that the embassy removed leave room for those of as many sessions as come', async () => {
    const mounts = await mkdtemp(join(tmpdir(), 'sealed-runsc-activations-'))
    onTestFinished(async () => {
      await unmountBelow(mounts)
      await rm(mounts, { recursive: true })
    })
    const mount = await mountActivations(mounts, '0')
    // More files than the mount has inodes, more bytes than it has: each comes when the one before is gone. It is not
    // looked for by its name: gVisor would find that it is gone, and forget it.
    const program = `$x = 'x' x (1 << 20); for my $n (1..300) { open(F, '>', "/activations/$n.part") and print F $x and close(F) or exit 1; rename("/activations/$n.part", "/activations/$n"); do { select(undef, undef, undef, 0.001); opendir(D, '/activations') } while grep { !/^\\./ } readdir(D) }`
    const { id } = await containers.startWorkload(
      spec(['/usr/bin/perl', '-e', program], { activations: mount }),
    )
    let exited = false
    const ended = containers.ended(id).finally(() => {
      exited = true
    })
    const whole = async () =>
      exited || readdirSync(mount).some((name) => !name.endsWith('.part')) || undefined
    while (!exited) {
      await eventually('a file', whole, 1)
      clear(mount)
    }
    expect(await ended).toMatchObject({ exitCode: 0 })
    await containers.remove(id)
  })
})
