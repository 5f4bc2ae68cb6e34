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
  readonly pauseImage: string
  /** Makes another replica, sealed, without an agent. */
  place(
    replica: number,
    egress: readonly EgressRule[],
  ): Promise<{ pause: string; link: ReplicaLink }>
  /** Runs nft in the machine's namespace with `text` as its input. */
  nft(text: string): Promise<string>
  /** Packets that have left the machine towards the outside. */
  departures(): Promise<number>
  /** Both tables of a replica, gone. */
  removeRules(place: Place): Promise<void>
  /** Loads a ruleset's text as it is, or changed to something weaker. */
  loadRules(place: Place, change?: (text: string) => string): Promise<void>
  stop(): Promise<void>
}

export interface Place {
  readonly pid: number
  readonly link: ReplicaLink
  readonly rules: Ruleset
  readonly agent: Agent
}

/** Builds the stage; what a dead run left is removed first. */
export async function buildStage(): Promise<Stage> {
  await clear()
  await makeNamespaces()
  const directory = await mkdtemp(join(tmpdir(), 'sealed-escape-'))
  const archive = join(directory, 'pause.tar')
  const pauseImage = await buildImage('pause', archive)
  const containers = createContainers()
  await containers.sweep(ID)
  await containers.loadImage(archive, pauseImage)
  const seal = createSeal({
    id: ID,
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
  await seal.start()
  const agents: Agent[] = []
  const agent = async (path: string, addresses: readonly string[] = []) => {
    const started = startAgent(path)
    agents.push(started)
    await started.listen(PORT, addresses)
    return started
  }
  const birth = async (replica: number, egress: readonly EgressRule[]) => {
    const name = `sealed-${ID}-${replica}-pause`
    const pause = await containers.startPause({ name, image: pauseImage, instance: ID })
    const link = await seal.attach(pause.pid, {
      replica,
      generation: 1,
      workloadPort: PORT,
      egress,
    })
    return { pause, link }
  }
  const inhabited = async (replica: number): Promise<Place> => {
    const { pause, link } = await birth(replica, OPEN_TO_ALL)
    const rules = ruleset(link, { id: ID, relayUid: RELAY_UID })
    return { pid: pause.pid, link, rules, agent: await agent(`/proc/${pause.pid}/ns/net`) }
  }
  const nft = (text: string) => feed(text, 'nft', '-f', '-')
  await nft(OBSERVER)
  const remove = ({ rules }: Place) =>
    `${['netdev', 'inet'].map((family) => `table ${family} ${rules.table}\ndelete table ${family} ${rules.table}`).join('\n')}\n`
  const relay = startAgent(MACHINE_PATH, RELAY_UID)
  agents.push(relay)
  return {
    containers,
    seal,
    pauseImage,
    replica: await inhabited(0),
    sibling: await inhabited(1),
    outside: await agent(
      `/run/netns/${OUTSIDE}`,
      Object.values(FAR).flatMap((far) => [far[4], far[6]]),
    ),
    host: await agent(MACHINE_PATH),
    relay,
    place: async (replica, egress) => {
      const { pause, link } = await birth(replica, egress)
      return { pause: pause.id, link }
    },
    nft,
    departures: async () =>
      Number(/packets (\d+)/.exec(await nft('list counter inet observer departures\n'))?.[1]),
    removeRules: async (place) => void (await nft(remove(place))),
    loadRules: async (place, change = (text) => text) =>
      void (await nft(remove(place) + change(place.rules.text))),
    async stop() {
      await Promise.all(agents.map((each) => each.stop()))
      await seal.stop()
      await containers.sweep(ID)
      await clear()
      await rm(directory, { recursive: true })
    },
  }
}

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

const inMachine = (...args: string[]) => run('ip', '-n', MACHINE, ...args)
const inOutside = (...args: string[]) => run('ip', '-n', OUTSIDE, ...args)

async function makeNamespaces(): Promise<void> {
  await run('ip', 'netns', 'add', MACHINE)
  await run('ip', 'netns', 'add', OUTSIDE)
  await run(
    ...(['ip', 'link', 'add', 'uplink', 'netns', MACHINE, 'type', 'veth'] as const),
    ...['peer', 'name', 'eth0', 'netns', OUTSIDE],
  )
  await inMachine('addr', 'add', '198.18.240.1/24', 'dev', 'uplink')
  await inMachine('addr', 'add', 'fd5e:a1ed:e::1/64', 'dev', 'uplink', 'nodad')
  for (const { 4: v4, 6: v6 } of Object.values(FAR)) {
    await inOutside('addr', 'add', `${v4}/${v4 === FAR.metadata[4] ? 32 : 24}`, 'dev', 'eth0')
    await inOutside(
      'addr',
      'add',
      `${v6}/${v6 === FAR.metadata[6] ? 128 : 64}`,
      'dev',
      'eth0',
      'nodad',
    )
  }
  for (const inside of [inMachine, inOutside]) await inside('link', 'set', 'lo', 'up')
  await inMachine('link', 'set', 'uplink', 'up')
  await inOutside('link', 'set', 'eth0', 'up')
  await inMachine('route', 'add', FAR.metadata[4], 'dev', 'uplink')
  await inMachine('route', 'add', FAR.metadata[6], 'dev', 'uplink')
  // Whatever a replica may claim to be is answered through the machine.
  await inOutside('route', 'add', 'default', 'via', '198.18.240.1')
  await inOutside('route', 'add', 'default', 'via', 'fd5e:a1ed:e::1')
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
