// Workloads as child processes of the embassy, where there is no container engine. Nothing holds them: they have the
// embassy's own user, its network and its files. Memory and processes are not limited either.
import { type ChildProcess, fork } from 'node:child_process'
import { SealedError } from '@sealed/protocol'
import type { ContainerState, Containers, WorkloadSpec } from '../containers/index.ts'
import { programUrl } from '../programs.ts'
import { loadProgram, type Program } from './program.ts'

interface Running {
  child: ChildProcess
  image: string
  ended: Promise<{ exitCode: number; outOfMemory: boolean }>
}

const GUARD = programUrl('unsealed/end-with-parent').href
/** The exit code of what a signal has ended, as the engine counts it. */
const KILLED = 137

export const createChildProcesses = (): Containers => new ChildProcesses()

class ChildProcesses implements Containers {
  readonly #programs = new Map<string, Program>()
  readonly #running = new Map<string, Running>()
  #made = 0

  async loadImage(listPath: string, image: string): Promise<void> {
    this.#programs.set(image, await loadProgram(listPath, image))
  }

  /** A child shares the network of this very process: that holds it, and there is nothing to start. */
  startPause = async ({ name }: { name: string }) => ({ id: name, pid: process.pid })

  async startWorkload(spec: WorkloadSpec): Promise<{ id: string; image: string }> {
    const program = this.#programs.get(spec.image)
    if (!program)
      throw new SealedError('config.invalid', `program ${spec.image} was not loaded; load it first`)
    const child = fork(program.main, [], {
      execArgv: ['--import', GUARD],
      // What a workload prints, nobody reads.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: {
        NODE_ENV: 'production',
        ...(spec.activations !== undefined && { ACTIVATIONS_DIR: spec.activations }),
        ...Object.fromEntries(spec.env.map(({ name, value }) => [name, value])),
        HOST: '127.0.0.1',
      },
    })
    const ended = new Promise<{ exitCode: number; outOfMemory: boolean }>((resolve) => {
      child.once('exit', (code) => resolve({ exitCode: code ?? KILLED, outOfMemory: false }))
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    const id = `${spec.name}#${this.#made++}`
    this.#running.set(id, { child, image: spec.image, ended })
    return { id, image: spec.image }
  }

  async restart(): Promise<void> {
    throw new SealedError('internal.error', 'a child process that has ended is not started again')
  }

  async ended(id: string): Promise<{ exitCode: number; outOfMemory: boolean }> {
    return this.#running.get(id)?.ended ?? { exitCode: -1, outOfMemory: false }
  }

  async inspect(id: string): Promise<ContainerState> {
    const held = this.#running.get(id)
    if (!held) throw new SealedError('internal.error', `there is no child process ${id}`)
    const { child, image } = held
    const running = child.exitCode === null && child.signalCode === null
    return { running, pid: child.pid ?? 0, image, exitCode: child.exitCode ?? 0 }
  }

  async kill(id: string): Promise<void> {
    const held = this.#running.get(id)
    held?.child.kill('SIGKILL')
    await held?.ended
  }

  async remove(id: string): Promise<void> {
    await this.kill(id)
    this.#running.delete(id)
  }

  async sweep(): Promise<void> {
    for (const id of [...this.#running.keys()]) await this.remove(id)
  }
}
