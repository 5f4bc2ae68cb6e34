// What root on the machine can do to an instance, and see of it: kill its processes, remove its containers, open its
// firewall, look at what is on disk. The instance's own interfaces are in instance.ts.
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import Docker from 'dockerode'
import { type Containers, createContainers } from '../../embassy/src/containers/index.ts'
import { run } from '../../scripts/world/run.ts'
import { eventually, type World } from './instance.ts'
import { kill, swtpmsUnder } from './software-tpm.ts'

export class Machine {
  readonly #world: World
  readonly containers: Containers

  constructor(world: World) {
    this.#world = world
    this.containers = createContainers(world.options.dockerSocket)
  }

  get #paths() {
    return this.#world.instance.paths
  }

  gatewayPid(): Promise<number> {
    return this.#pidOf(process.pid, /gateway\/src\/node\.ts/)
  }

  embassyPid(): Promise<number> {
    return this.#pidOf(process.pid, /embassy\/src\/main\.ts/)
  }

  async relayPid(): Promise<number> {
    return this.#pidOf(await this.embassyPid(), /embassy\/src\/relay\/main\.ts/)
  }

  /** The `nft -i` that holds every seal, or the `nft monitor` that watches over it. */
  async nftPid(kind: '-i' | 'monitor' = '-i'): Promise<number> {
    return this.#pidOf(await this.embassyPid(), kind === '-i' ? /^nft\0-i/ : /^nft\0monitor/)
  }

  async tpmPid(): Promise<number> {
    const [pid] = await swtpmsUnder(this.#paths.state)
    if (!pid) throw new Error('no software TPM runs on this state')
    return Number(pid)
  }

  /** Process id of a replica's server, as the host counts. */
  async workloadPid(replica = 0): Promise<number> {
    return (await this.containers.inspect(this.container(replica))).pid
  }

  container(replica = 0, kind: 'workload' | 'pause' = 'workload'): string {
    return `sealed-${this.#paths.id}-${replica}-${kind}`
  }

  /**
   * Remembers a container; what is returned resolves once it is gone, or another one has its name: right after its
   * creation, before it is started.
   */
  async watch(
    replica: number,
    kind: 'workload' | 'pause',
    until: 'gone' | 'reborn',
  ): Promise<() => Promise<void>> {
    const socketPath = this.#world.options.dockerSocket ?? '/var/run/docker.sock'
    const docker = new Docker({ socketPath })
    const look = async () =>
      (
        await docker.listContainers({
          all: true,
          filters: { name: [`^/${this.container(replica, kind)}$`] },
        })
      )[0]?.Id
    const old = await look()
    return async () => {
      const there = async () => {
        const now = await look()
        return now !== old && (now !== undefined) === (until === 'reborn') ? true : undefined
      }
      await eventually(`${kind} of replica ${replica} to be ${until}`, there, 0)
    }
  }

  /** SIGKILL; resolves when every one of them is gone. */
  async kill(...pids: number[]): Promise<void> {
    for (const pid of pids) await kill(pid)
  }

  /** A command to the real firewall. */
  async nft(...args: string[]): Promise<void> {
    await run('nft', args)
  }

  table(replica = 0): string {
    return `sealed_${this.#paths.id}_${replica}`
  }

  device(replica = 0): string {
    return `sl${this.#paths.id}-${replica}`
  }

  /** Rows of the embassy's database as it is on disk now; the embassy holds the file, so a copy is read. */
  async rows<T>(sql: string, ...args: unknown[]): Promise<T[]> {
    const directory = await mkdtemp(join(tmpdir(), 'sealed-copy-'))
    try {
      for (const suffix of ['', '-wal'])
        await copyFile(
          join(this.#paths.state, 'state', `embassy.db${suffix}`),
          join(directory, `embassy.db${suffix}`),
        )
      const db = new Sqlite(join(directory, 'embassy.db'))
      try {
        return db.prepare(sql).all(...args) as T[]
      } finally {
        db.close()
      }
    } finally {
      await rm(directory, { recursive: true })
    }
  }

  /** Resolves once the opening of this session, its reveal included, is on disk. */
  async revealed(session: string): Promise<void> {
    await eventually(`session ${session} to be revealed`, async () => {
      const [row] = await this.rows('SELECT 1 FROM sessions WHERE id = ?', session)
      return row ? true : undefined
    })
  }

  /** Sessions that are open on disk: revealed, and without a leaf yet. */
  async openSessions(): Promise<string[]> {
    const rows = await this.rows<{ id: string }>('SELECT id FROM sessions')
    return rows.map(({ id }) => id)
  }

  async #pidOf(parent: number, command: RegExp): Promise<number> {
    return eventually(`a process ${command}`, async () => {
      const found = (await below(parent)).filter((process) => command.test(process.command))
      return found[0]?.pid
    })
  }
}

interface Process {
  pid: number
  parent: number
  command: string
}

/** Every process whose line of parents leads to `ancestor`. */
async function below(ancestor: number): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const all = (await Promise.all(pids.map(look))).flat()
  const children = (parent: number): Process[] =>
    all.filter((one) => one.parent === parent).flatMap((one) => [one, ...children(one.pid)])
  return children(ancestor)
}

async function look(pid: string): Promise<Process[]> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8')
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    return [{ pid: Number(pid), parent, command }]
  } catch {
    return []
  }
}
