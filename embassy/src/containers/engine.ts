// Containers through the Docker engine. What is started was measured first: an image that is not the very one
// that the workload file names is never started. It decides nothing about networks beyond what hardening says.
import { createReadStream } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { SealedError } from '@sealed/protocol'
import Docker from 'dockerode'
import {
  INSTANCE_LABEL,
  type PauseSpec,
  pauseOptions,
  type WorkloadSpec,
  workloadOptions,
} from './hardening.ts'
import { type Runtimes, runtimeRefused } from './runtime.ts'

export interface Containers {
  /** Loads the archive unless the image is there; `config.invalid` if it holds another image. */
  loadImage(archivePath: string, image: string): Promise<void>
  /** Starts the holder of a network namespace; resolves with its process, whose namespace is to be linked. */
  startPause(spec: PauseSpec): Promise<{ id: string; pid: number }>
  /** `config.invalid`, and nothing started, unless the image measures as `spec.image`. */
  startWorkload(spec: WorkloadSpec): Promise<{ id: string; image: string }>
  /** Starts the same container again after it ended. */
  restart(id: string): Promise<void>
  /** Resolves when the container has ended, or can no longer be watched (`exitCode` -1): its replica is lost. */
  ended(id: string): Promise<{ exitCode: number; outOfMemory: boolean }>
  inspect(id: string): Promise<ContainerState>
  /** Sends SIGKILL; one that has ended already is left so. */
  kill(id: string): Promise<void>
  /** Kills and removes; a container that is gone already is no error. */
  remove(id: string): Promise<void>
  /** Removes all containers of an instance. */
  sweep(instance: string): Promise<void>
}

export interface ContainerState {
  readonly running: boolean
  readonly pid: number
  /** Image config digest, hex. */
  readonly image: string
  readonly exitCode: number
}

const REMOVE_TRIES = 100
const REMOVE_PAUSE_MS = 50

export const createContainers = (socketPath = '/var/run/docker.sock'): Containers =>
  new Engine(new Docker({ socketPath }))

/** The exit code of a container that was gone before its end was seen, or whose engine was. */
const UNSEEN = -1

class Engine implements Containers {
  readonly #docker: Docker

  constructor(docker: Docker) {
    this.#docker = docker
  }

  async loadImage(archivePath: string, image: string): Promise<void> {
    if (await this.#has(image)) return
    const progress = await this.#docker.loadImage(createReadStream(archivePath))
    // The engine has taken the whole archive when it stops talking.
    for await (const _ of progress);
    if (!(await this.#has(image)))
      throw new SealedError(
        'config.invalid',
        `${archivePath} does not hold image ${image}; build it again or correct the digest`,
      )
  }

  async startPause(spec: PauseSpec): Promise<{ id: string; pid: number }> {
    const container = await this.#create(pauseOptions(qualified(spec)), spec.image)
    await this.#start(container)
    const { State } = await container.inspect()
    if (!State.Running || State.Pid === 0) {
      await this.remove(container.id)
      throw new SealedError('config.invalid', `pause container ${spec.name} ended at once`)
    }
    return { id: container.id, pid: State.Pid }
  }

  async startWorkload(spec: WorkloadSpec): Promise<{ id: string; image: string }> {
    if (spec.runtime) await this.#ensureRuntime(spec.runtime)
    const container = await this.#create(workloadOptions(qualified(spec)), spec.image)
    await this.#start(container)
    return { id: container.id, image: spec.image }
  }

  async restart(id: string): Promise<void> {
    await this.#docker.getContainer(id).start()
  }

  async ended(id: string): Promise<{ exitCode: number; outOfMemory: boolean }> {
    const container = this.#docker.getContainer(id)
    const end: { StatusCode: number } = await container.wait().catch(() => ({ StatusCode: UNSEEN }))
    const state = await container.inspect().catch(() => undefined)
    return { exitCode: end.StatusCode, outOfMemory: state?.State.OOMKilled ?? false }
  }

  async inspect(id: string): Promise<ContainerState> {
    const { State, Image } = await this.#docker.getContainer(id).inspect()
    return { running: State.Running, pid: State.Pid, image: hexOf(Image), exitCode: State.ExitCode }
  }

  async kill(id: string): Promise<void> {
    try {
      await this.#docker.getContainer(id).kill({ signal: 'SIGKILL' })
    } catch (error) {
      // 409: it is not running.
      if (statusOf(error) !== 409) throw error
    }
  }

  async remove(id: string): Promise<void> {
    const container = this.#docker.getContainer(id)
    for (let tries = REMOVE_TRIES; ; tries--) {
      try {
        await container.remove({ force: true, v: true })
        return
      } catch (error) {
        if (statusOf(error) === 404) return
        // 409: it is being started or removed right now, and only one of the two ends by itself.
        if (statusOf(error) !== 409 || tries === 0) throw error
        await delay(REMOVE_PAUSE_MS)
      }
    }
  }

  async sweep(instance: string): Promise<void> {
    const left = await this.#docker.listContainers({
      all: true,
      filters: { label: [`${INSTANCE_LABEL}=${instance}`] },
    })
    // Workloads before the pause containers whose network they share.
    left.sort((a, b) => Number(isPause(a)) - Number(isPause(b)))
    for (const { Id } of left) await this.remove(Id)
  }

  async #has(image: string): Promise<boolean> {
    const found = await this.#docker.getImage(`sha256:${image}`).inspect().catch(absent)
    return found !== undefined && hexOf(found.Id) === image
  }

  async #create(options: Docker.ContainerCreateOptions, image: string): Promise<Docker.Container> {
    if (!(await this.#has(image)))
      throw new SealedError('config.invalid', `image ${image} is not in the engine; load it first`)
    const container = await this.#docker.createContainer(options)
    const measured = hexOf((await container.inspect()).Image)
    if (measured === image) return container
    await this.remove(container.id)
    throw new SealedError(
      'config.invalid',
      `${options.name} would run image ${measured}, not ${image}`,
    )
  }

  async #ensureRuntime(wanted: string): Promise<void> {
    const { Runtimes } = (await this.#docker.info()) as { Runtimes?: Runtimes }
    const refused = runtimeRefused(Runtimes ?? {}, wanted)
    if (refused !== undefined) throw new SealedError('config.invalid', refused)
  }

  async #start(container: Docker.Container): Promise<void> {
    try {
      await container.start()
    } catch (cause) {
      await this.remove(container.id)
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new SealedError('config.invalid', `a container does not start: ${reason}`, { cause })
    }
  }
}

const qualified = <S extends { readonly image: string }>(spec: S): S => ({
  ...spec,
  image: `sha256:${spec.image}`,
})

const hexOf = (id: string): string => id.replace(/^sha256:/, '')
const isPause = ({ HostConfig }: Docker.ContainerInfo): boolean => HostConfig.NetworkMode === 'none'

const statusOf = (error: unknown): number | undefined =>
  (error as { statusCode?: number }).statusCode

/** For calls on what may be gone: not found is an answer, anything else is thrown. */
function absent(error: unknown): undefined {
  if (statusOf(error) === 404) return undefined
  throw error
}
