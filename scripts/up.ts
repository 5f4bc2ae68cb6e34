// Starts one whole instance on this machine: software TPM, embassy, gateway; restarts what dies, stops all by pid.
import { access, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type InstanceOptions, writeFiles } from './instance/files.ts'
import { buildImage } from './instance/images.ts'
import { type Paths, pathsOf, REPOSITORY } from './instance/paths.ts'
import { Supervised } from './instance/supervisor.ts'
import { run } from './world/run.ts'
import { startSoftwareTpm } from './world/tpm.ts'

const READY_DEADLINE_MS = 120_000

export interface Instance {
  paths: Paths
  /** Where the gateway answers. */
  url: string
  embassy: Supervised
  gateway: Supervised
  tpmPid: number
  /** Stops the processes and powers the TPM off; `keep` leaves state for a later start. */
  stop(keep?: boolean): Promise<void>
}

/** Starts an instance whose state lies in `stateDir`. Progress goes to `say`. */
export async function up(
  stateDir: string,
  options: InstanceOptions,
  say: (line: string) => void = () => {},
): Promise<Instance> {
  const paths = pathsOf(stateDir)
  const undo: (() => Promise<unknown>)[] = []
  const down = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    for (const directory of [paths.state, paths.images, paths.logs])
      await mkdir(directory, { recursive: true, mode: 0o700 })
    await mountRuntime(paths.runtime)
    undo.push(() => unmountRuntime(paths.runtime))
    say('building images')
    const [pause, workload] = [
      await buildImage('pause', paths.images),
      await buildImage(options.workload, paths.images),
    ]
    say('powering on a software TPM')
    const tpm = await startSoftwareTpm({
      stateDir: paths.state,
      socketPath: join(paths.runtime, 'tpm.sock'),
    })
    undo.push(() => tpm.stop())
    await writeFiles(paths, options, { pause, workload }, tpm)
    if (options.tls === 'embassy')
      await run(process.execPath, [
        join(REPOSITORY, 'gateway/src/tls-key.ts'),
        '--config',
        paths.config,
      ])
    say('starting the embassy: keys, measurements, firewall, containers')
    const embassy = new Supervised(
      'embassy',
      [join(REPOSITORY, 'embassy/src/main.ts'), '--config', paths.config],
      join(paths.logs, 'embassy.log'),
    )
    embassy.start()
    undo.push(() => embassy.stop())
    await until(`${paths.runtime}/embassy/gateway.sock`, embassy)
    say('starting the gateway')
    const gateway = new Supervised(
      'gateway',
      [join(REPOSITORY, 'gateway/src/node.ts'), '--config', paths.config],
      join(paths.logs, 'gateway.log'),
    )
    gateway.start()
    undo.push(() => gateway.stop())
    const urlFile = `${paths.runtime}/gateway/url`
    await until(urlFile, gateway)
    const url = (await readFile(urlFile, 'utf8')).trim()
    const stop = async (keep = false) => {
      await down()
      if (!keep) await rm(paths.state, { recursive: true, force: true })
    }
    return { paths, url, embassy, gateway, tpmPid: tpm.pid, stop }
  } catch (error) {
    await down()
    throw error
  }
}

/** Waits for a file that a process makes when it is ready; fails at once when the process dies. */
async function until(path: string, process: Supervised): Promise<void> {
  const end = performance.now() + READY_DEADLINE_MS
  while (performance.now() < end) {
    if (await exists(path)) return
    if (process.starts > 1)
      throw new Error(`it did not start. The end of its log:\n${process.tail()}`)
    await delay(50)
  }
  throw new Error(
    `not ready after ${READY_DEADLINE_MS / 1000} s. The end of its log:\n${process.tail()}`,
  )
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** A tmpfs of its own for sockets and keys: gone with the machine, and bounded. What a killed instance left goes first. */
async function mountRuntime(path: string): Promise<void> {
  await unmountRuntime(path)
  await mkdir(path, { recursive: true, mode: 0o711 })
  await run('mount', [
    '-t',
    'tmpfs',
    '-o',
    'size=64m,mode=0711,nosuid,nodev',
    'sealed-runtime',
    path,
  ])
}

async function unmountRuntime(path: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  const below = mounts
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point === path || point.startsWith(`${path}/`))
  for (const point of below.reverse()) await run('umount', ['-l', point])
  await rm(path, { recursive: true, force: true })
}
