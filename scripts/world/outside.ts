// The outside world in a network namespace of our own: a host that a workload may try to reach.
// It has no route but its link to this machine, so nothing it sends or gets touches a real network.
import { type ChildProcess, spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { createInterface } from 'node:readline'
import { type Arrivals, countArrivals } from './arrivals.ts'
import { run } from './run.ts'

export interface Outside {
  readonly address4: string
  readonly address6: string
  /** Its link's end on this machine. */
  readonly interfaceName: string
  readonly namespace: string
  readonly ports: { readonly tcp: number; readonly udp: number }
  /**
   * All that came since the start or the last `forget`: what its servers read (`tcp 198.18.0.1 hello`)
   * and every packet by source (`packets icmp 198.18.0.1: 2`), also those that no server saw.
   */
  received(): Promise<string[]>
  forget(): Promise<void>
  /** Lets it send to a network behind this machine, such as a replica's; for attempts from outside in. */
  route(network: string): Promise<void>
  stop(): Promise<void>
}

const PORTS = { tcp: 80, udp: 5353 }
const START_MS = 10_000

/**
 * Starts the outside host of an instance; what a dead one of the same id left is removed first.
 * @param options.id 1 to 8 of a-z and 0-9
 */
export async function startOutside({ id }: { id: string }): Promise<Outside> {
  if (!/^[a-z0-9]{1,8}$/.test(id)) throw new Error(`outside: id ${id} is not 1 to 8 of a-z, 0-9`)
  const namespace = `sealed-out-${id}`
  const interfaceName = `sealo-${id}`
  await sweep(namespace, interfaceName)
  const net = freeNetwork(id)
  let host: HostProcess | undefined
  const stop = async () => {
    await host?.stop()
    await sweep(namespace, interfaceName)
  }
  try {
    await connect(namespace, interfaceName, net)
    const arrivals = await countArrivals(namespace, 'eth0')
    host = await startHost(namespace)
    const { address4, address6 } = net.outside
    const gateway = (network: string) =>
      network.includes(':') ? net.here.address6 : net.here.address4
    return {
      address4,
      address6,
      interfaceName,
      namespace,
      ports: PORTS,
      ...observe(host, arrivals),
      route: async (network) =>
        void (await run('ip', [
          '-n',
          namespace,
          'route',
          'replace',
          network,
          'via',
          gateway(network),
        ])),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function observe(host: HostProcess, arrivals: Arrivals) {
  return {
    async received() {
      await host.sync()
      return [...host.arrivals, ...(await arrivals.list())]
    },
    async forget() {
      await host.sync()
      host.arrivals.length = 0
      await arrivals.forget()
    },
  }
}

interface Addresses {
  readonly address4: string
  readonly address6: string
}

/** A /30 of the benchmark range (RFC 2544) that no interface uses, and a ULA network beside it. */
function freeNetwork(id: string): { here: Addresses; outside: Addresses } {
  const used = new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
  )
  const seed = Number.parseInt(id, 36)
  for (let step = 0; step < 0x4000; step++) {
    const slot = (seed + step) & 0x3fff
    const at = (last: number) => {
      const low = slot * 4 + last
      return {
        address4: `198.18.${low >> 8}.${low & 255}`,
        address6: `fd5e:a1ed:0:${slot.toString(16)}::${last}`,
      }
    }
    const [here, outside] = [at(1), at(2)]
    if (!used.has(here.address4)) return { here, outside }
  }
  throw new Error('outside: no free network in 198.18.0.0/16')
}

async function connect(
  namespace: string,
  link: string,
  net: { here: Addresses; outside: Addresses },
): Promise<void> {
  const ip = (...args: string[]) => run('ip', args)
  await ip('netns', 'add', namespace)
  await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
  for (const [end, addresses] of [
    [['-n', namespace, 'addr', 'add', 'dev', 'eth0'], net.outside],
    [['addr', 'add', 'dev', link], net.here],
  ] as const) {
    await ip(...end, `${addresses.address4}/30`)
    // No duplicate detection: the address must work at once.
    await ip(...end, `${addresses.address6}/64`, 'nodad')
  }
  await ip('-n', namespace, 'link', 'set', 'lo', 'up')
  await ip('-n', namespace, 'link', 'set', 'eth0', 'up')
  await ip('link', 'set', link, 'up')
}

async function sweep(namespace: string, link: string): Promise<void> {
  if ((await entries('/sys/class/net')).includes(link)) await run('ip', ['link', 'del', link])
  if (!(await entries('/run/netns')).includes(namespace)) return
  const pids = await run('ip', ['netns', 'pids', namespace])
  for (const pid of pids.split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It ended by itself since the listing, which is what was wanted.
    }
  }
  await run('ip', ['netns', 'del', namespace])
}

const entries = (directory: string) => readdir(directory).catch(() => [] as string[])

interface HostProcess {
  readonly arrivals: string[]
  /** Resolves when all that had come before the call is in `arrivals`. */
  sync(): Promise<void>
  stop(): Promise<void>
}

async function startHost(namespace: string): Promise<HostProcess> {
  const script = new URL('outside-host.ts', import.meta.url).pathname
  const child = spawn(
    'ip',
    [
      ...['netns', 'exec', namespace, process.execPath, script],
      ...[String(PORTS.tcp), String(PORTS.udp)],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const arrivals: string[] = []
  const waiting: PromiseWithResolvers<void>[] = []
  const wait = () => {
    const turn = Promise.withResolvers<void>()
    waiting.push(turn)
    if (child.exitCode !== null) turn.reject(new Error('the outside host has ended'))
    return turn.promise
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { arrival } = JSON.parse(line) as { arrival?: string }
    if (arrival === undefined) waiting.shift()?.resolve()
    else arrivals.push(arrival)
  })
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('exit', () => resolve())
  })
  ended.then(() => {
    for (const turn of waiting) turn.reject(new Error('the outside host has ended'))
  })
  const stop = async () => {
    child.stdin.end()
    await ended
  }
  await withDeadline(wait(), child)
  return {
    arrivals,
    sync() {
      const synced = wait()
      child.stdin.write('\n')
      return synced
    },
    stop,
  }
}

async function withDeadline(ready: Promise<void>, child: ChildProcess): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MS)
  try {
    await ready
  } finally {
    clearTimeout(timer)
  }
}
