// Starts one whole instance on this machine: software TPM, embassy, gateway; restarts what dies, stops all by pid.
import { access, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type InstanceOptions, writeFiles } from './instance/files.ts'
import { buildImage } from './instance/images.ts'
import { type Paths, pathsOf, REPOSITORY } from './instance/paths.ts'
import { writeProgram } from './instance/program.ts'
import { makeRuntime, mountRuntime, removeRuntime, unmountRuntime } from './instance/runtime.ts'
import { Supervised } from './instance/supervisor.ts'
import { run } from './world/run.ts'
import { reapSwtpm } from './world/swtpm.ts'
import { type SoftwareTpm, startSoftwareTpm } from './world/tpm.ts'

const READY_DEADLINE_MS = 120_000

export interface Instance {
  paths: Paths
  /** Where the gateway answers. */
  url: string
  embassy: Supervised
  gateway: Supervised
  /** Of the software TPM; undefined where there is none. */
  tpmPid: number | undefined
  /** Stops the processes and powers the TPM off; `keep` leaves state for a later start. */
  stop(keep?: boolean): Promise<void>
}

/** Starts an instance whose state lies in `stateDir`. Progress goes to `say`. */
export async function up(
  stateDir: string,
  options: InstanceOptions,
  say: (line: string) => void = () => {},
): Promise<Instance> {
  const paths = pathsOf(stateDir, options.unsealed !== undefined)
  const undo: (() => Promise<unknown>)[] = []
  const down = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    for (const directory of [paths.state, paths.images, paths.logs])
      await mkdir(directory, { recursive: true, mode: 0o700 })
    const tpm = await (options.unsealed ? groundless : ground)(paths, options, say, undo)
    if (options.tls !== undefined && options.tls !== 'off')
      await run(process.execPath, [
        join(REPOSITORY, 'gateway/src/tls-key.ts'),
        '--config',
        paths.config,
      ])
    say(
      `starting the embassy: ${options.unsealed ? 'keys, the workload as a child process' : 'keys, measurements, firewall, containers'}`,
    )
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
    return { paths, url, embassy, gateway, tpmPid: tpm?.pid, stop }
  } catch (error) {
    await down()
    throw error
  }
}

type Ground = (
  paths: Paths,
  options: InstanceOptions,
  say: (line: string) => void,
  undo: (() => Promise<unknown>)[],
) => Promise<SoftwareTpm | undefined>

/** What the embassy stands on: a tmpfs, images, a TPM, and the files that name them. */
const ground: Ground = async (paths, options, say, undo) => {
  // What another start of this instance still uses is not to be taken from it.
  await reapSwtpm(join(paths.state, 'tpm'))
  await mountRuntime(paths.runtime)
  undo.push(() => unmountRuntime(paths.runtime))
  say('building images')
  const pause = await buildImage('pause', paths.images)
  say('powering on a software TPM')
  const tpm = await startSoftwareTpm({
    stateDir: paths.state,
    socketPath: join(paths.runtime, 'tpm.sock'),
  })
  undo.push(() => tpm.stop())
  if (options.launch) await options.launch(paths, { pause, tpm })
  else {
    const workload = options.own?.image ?? (await buildImage(options.workload, paths.images))
    await writeFiles(paths, options, workload, { pause, tpm })
  }
  return tpm
}

/** The same on a machine that cannot seal. */
const groundless: Ground = async (paths, options, _say, undo) => {
  await makeRuntime(paths.runtime)
  undo.push(() => removeRuntime(paths.runtime))
  const workload = await writeProgram(options.workload, paths.state)
  await writeFiles(paths, options, workload, undefined)
  return undefined
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
