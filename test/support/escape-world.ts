// The stage of the escape matrix: a machine, its replicas and the outside, each in a network namespace of its own,
// joined by nothing but what is made here. The machine's namespace has no way to a real network, so even with all
// rules removed no packet can leave; the containers, the firewall and the kernel are the real ones.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { EgressRule } from '@sealed/protocol'
import { type Containers, createContainers } from '../../embassy/src/containers/index.ts'
import { createSeal, type ReplicaLink, type Seal } from '../../embassy/src/seal/index.ts'
import { type Ruleset, ruleset } from '../../embassy/src/seal/ruleset.ts'
import { buildImage } from '../../workloads/image/build.ts'
import { type Agent, startAgent } from './agent.ts'

const execute = promisify(execFile)
export const run = async (command: string, ...args: string[]): Promise<string> =>
  (await execute(command, args)).stdout

const ID = 'e5ca'
export const RELAY_UID = 64103
/** Where every party listens; for the replicas it is the workload's port. */
export const PORT = 8000
export const RELAY_PORTS = [61000, 61999] as const
export const EMBASSY_PORT = 7100

const MACHINE = 'sealed-escape'
const OUTSIDE = 'sealed-escape-out'
export const MACHINE_PATH = `/run/netns/${MACHINE}`

/** The far parties' addresses; all live in the outside's namespace. */
export const FAR = {
  outside: { 4: '198.18.240.2', 6: 'fd5e:a1ed:e::2' },
  resolver: { 4: '198.18.240.53', 6: 'fd5e:a1ed:e::53' },
  metadata: { 4: '169.254.169.254', 6: 'fd20:ce::254' },
} as const

/** The machine's own address on its link to them. */
const NEAR = { 4: '198.18.240.1', 6: 'fd5e:a1ed:e::1' } as const

/** The widest list there is: while not sealed, the workload may call everybody. */
export const OPEN_TO_ALL: readonly EgressRule[] = ['0.0.0.0/0', '::/0'].flatMap((address) =>
  (['tcp', 'udp'] as const).map((protocol) => ({ address, protocol, port: PORT })),
)

export interface Stage {
  readonly containers: Containers
  readonly seal: Seal
  readonly replica: Place
  readonly sibling: Place
  readonly outside: Agent
  readonly host: Agent
  /** A process with the relay's user on the machine. */
  readonly relay: Agent
  /** Makes another replica, sealed, with nobody in it. */
  place(replica: number, egress: readonly EgressRule[]): Promise<EmptyPlace>
  /** Makes another replica, sealed, with an agent in it. */
  inhabit(replica: number, egress: readonly EgressRule[]): Promise<Place>
  /** Runs nft in the machine's namespace with `text` as its input. */
  nft(text: string): Promise<string>
  /** Packets that have left the machine towards the outside. */
  departures(): Promise<number>
  /** Both tables of a replica, gone. */
  removeRules(place: EmptyPlace): Promise<void>
  /** Loads a ruleset's text as it is, or changed to something weaker. */
  loadRules(place: EmptyPlace, change?: (text: string) => string): Promise<void>
  stop(): Promise<void>
}

export interface EmptyPlace {
  /** Container id and process of the pause container. */
  readonly pause: string
  readonly pid: number
  readonly link: ReplicaLink
  readonly rules: Ruleset
}

export interface Place extends EmptyPlace {
  readonly agent: Agent
}

export interface StageOptions {
  /** Of another engine than the machine's own. */
  readonly containers?: Containers
  /**
   * Who speaks in each replica: an agent inside a container that shares its network. Left out, it is one with more rights
   * than any container has, in the replica's network namespace.
   */
  readonly inhabitant?: (place: EmptyPlace) => Promise<Agent>
}

/** The seal of this stage, or of another instance on the same machine. */
export const sealOn = (id: string): Seal =>
  createSeal({
    id,
    namespace: MACHINE_PATH,
    relayPorts: RELAY_PORTS,
    embassyPort: EMBASSY_PORT,
    relayUid: RELAY_UID,
    probes: {
      resolvers: [FAR.resolver[4], FAR.resolver[6]],
      targets: [{ address: FAR.outside[4], protocol: 'tcp', port: PORT }],
      busybox: '/bin/busybox',
    },
  })

/** Builds the stage; what a dead run left is removed first. */
export async function buildStage(options: StageOptions = {}): Promise<Stage> {
  await clear()
  const undo: (() => Promise<unknown>)[] = [clear]
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    return await build(options, undo, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function build(
  { containers = createContainers(), inhabitant }: StageOptions,
  undo: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<Stage> {
  await makeNamespaces()
  const directory = await mkdtemp(join(tmpdir(), 'sealed-escape-'))
  undo.push(() => rm(directory, { recursive: true }))
  await containers.sweep(ID)
  undo.push(() => containers.sweep(ID))
  const archive = join(directory, 'pause.tar')
  const pauseImage = await buildImage('pause', archive)
  await containers.loadImage(archive, pauseImage)
  const seal = sealOn(ID)
  await seal.start()
  undo.push(() => seal.stop())
  const nft = (text: string) => feed(text, 'nft', '-f', '-')
  await nft(OBSERVER)

  const agent = async (path: string, addresses: readonly string[] = []) => {
    const started = startAgent(path)
    undo.push(() => started.stop())
    await started.listen(PORT, addresses)
    return started
  }
  const place = async (replica: number, egress: readonly EgressRule[]): Promise<EmptyPlace> => {
    const name = `sealed-${ID}-${replica}-pause`
    const { id, pid } = await containers.startPause({ name, image: pauseImage, instance: ID })
    const spec = { replica, generation: 1, workloadPort: PORT, egress }
    const link = await seal.attach(pid, spec)
    return { pause: id, pid, link, rules: ruleset(link, { id: ID, relayUid: RELAY_UID }) }
  }
  const inhabit = async (replica: number, egress: readonly EgressRule[]): Promise<Place> => {
    const empty = await place(replica, egress)
    if (!inhabitant) return { ...empty, agent: await agent(`/proc/${empty.pid}/ns/net`) }
    const born = await inhabitant(empty)
    undo.push(() => born.stop())
    await born.listen(PORT, [], false)
    return { ...empty, agent: born }
  }
  const relay = startAgent(MACHINE_PATH, RELAY_UID)
  undo.push(() => relay.stop())
  const far = Object.values(FAR).flatMap((one) => [one[4], one[6]])
  return {
    ...{ containers, seal, relay, place, inhabit, nft, stop },
    replica: await inhabit(0, OPEN_TO_ALL),
    sibling: await inhabit(1, OPEN_TO_ALL),
    outside: await agent(`/run/netns/${OUTSIDE}`, far),
    host: await agent(MACHINE_PATH),
    departures: async () =>
      Number(/packets (\d+)/.exec(await nft('list counter inet observer departures\n'))?.[1]),
    removeRules: async ({ rules }) => void (await nft(removal(rules))),
    loadRules: async ({ rules }, change = (text) => text) =>
      void (await nft(removal(rules) + change(rules.text))),
  }
}

/** Declared first, so that removing what is gone already is no error. */
const removal = ({ table }: Ruleset): string =>
  ['netdev', 'inet']
    .map((family) => `table ${family} ${table}\ndelete table ${family} ${table}\n`)
    .join('')

// Counts what leaves, and keeps connection tracking on, as it is on any machine with Docker: only then are
// flows that were opened before the seal established ones to the kernel.
const OBSERVER = `
table inet observer {
  counter departures { }
  chain tracking { type filter hook prerouting priority 0; policy accept; ct state new accept; }
  chain departing { type filter hook postrouting priority 300; policy accept; oifname "uplink" counter name departures; }
}
`

/** Runs a tool in the machine's namespace with `input`. */
async function feed(input: string, ...command: string[]): Promise<string> {
  const running = execute('nsenter', [`--net=${MACHINE_PATH}`, '--', ...command])
  running.child.stdin?.end(input)
  return (await running).stdout
}

/** Runs lines of `ip` in a namespace, or where this process is. */
async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  const running = execute('ip', [...(namespace ? ['-n', namespace] : []), '-batch', '-'])
  running.child.stdin?.end(`${lines.join('\n')}\n`)
  await running
}

async function makeNamespaces(): Promise<void> {
  await run('ip', 'netns', 'add', MACHINE)
  await run('ip', 'netns', 'add', OUTSIDE)
  const [here, there] = ['02:5e:00:00:00:01', '02:5e:00:00:00:02']
  await ipBatch('', [
    `link add uplink netns ${MACHINE} address ${here} type veth peer name eth0 netns ${OUTSIDE} address ${there}`,
  ])
  const far = Object.values(FAR)
  // Neighbours are fixed: the first packet of all is delivered like any other.
  await ipBatch(MACHINE, [
    'link set lo up',
    'link set uplink addrgenmode none',
    `addr add ${NEAR[4]}/24 dev uplink`,
    `addr add ${NEAR[6]}/64 dev uplink nodad`,
    'link set uplink up',
    `route add ${FAR.metadata[4]} dev uplink`,
    `route add ${FAR.metadata[6]} dev uplink`,
    ...far
      .flatMap((one) => [one[4], one[6]])
      .map((address) => `neigh replace ${address} lladdr ${there} dev uplink nud permanent`),
  ])
  await ipBatch(OUTSIDE, [
    'link set lo up',
    'link set eth0 addrgenmode none',
    ...far.flatMap((one) => [
      `addr add ${one[4]}/${one === FAR.metadata ? 32 : 24} dev eth0`,
      `addr add ${one[6]}/${one === FAR.metadata ? 128 : 64} dev eth0 nodad`,
    ]),
    'link set eth0 up',
    // Whatever a replica may claim to be is answered through the machine.
    ...[NEAR[4], NEAR[6]].flatMap((address) => [
      `neigh replace ${address} lladdr ${here} dev eth0 nud permanent`,
      `route add default via ${address}`,
    ]),
  ])
  for (const [path, value] of [
    ['net/ipv4/ip_forward', 1],
    ['net/ipv6/conf/all/forwarding', 1],
    // A spoofed packet is to be stopped by our rules, not by the kernel's own filter.
    ['net/ipv4/conf/all/rp_filter', 0],
    ['net/ipv4/conf/default/rp_filter', 0],
  ] as const)
    await feed(`${value}\n`, 'tee', `/proc/sys/${path}`)
}

async function clear(): Promise<void> {
  const there = (await run('ip', 'netns', 'list')).split('\n').map((line) => line.split(' ')[0])
  for (const name of [MACHINE, OUTSIDE])
    if (there.includes(name)) await run('ip', 'netns', 'del', name)
}
