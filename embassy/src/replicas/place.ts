// One place of a fleet: the containers and the link that stand there, one generation after the other.
import type { Containers } from '../containers/index.ts'
import type { ProbeReport, ReplicaLink, Seal } from '../seal/index.ts'
import type { Listening } from '../server/listen.ts'
import type { MeasuredWorkload } from '../session/admission.ts'
import type { Replica } from './replica.ts'

export interface PlaceDeps {
  id: string
  workload: MeasuredWorkload
  seal: Seal
  containers: Containers
  pauseImage: string
  /** An empty directory for the activations of the replica of this name. */
  mount: (name: string) => Promise<string>
  /** Where the weights volume of this root hash is mounted. */
  volume: (rootHash: string) => string
  /** Listens for what a workload that takes part itself asks over its link. */
  hear?: (link: ReplicaLink) => Promise<Listening>
  /** Resolves when the workload can serve, seen from the relay; rejects after its own deadline. */
  ready: (link: ReplicaLink) => Promise<void>
}

export interface Place {
  index: number
  generation: number
  /** Undefined while none serves here. */
  replica: Replica | undefined
  pause: { id: string; pid: number } | undefined
  link: ReplicaLink | undefined
  hearing: Listening | undefined
  workloadId: string | undefined
  stopping: Promise<void>
  /** Settles when no replica is being born here. */
  replacing: Promise<void>
}

export const emptyPlace = (index: number): Place => ({
  index,
  generation: 0,
  replica: undefined,
  pause: undefined,
  link: undefined,
  hearing: undefined,
  workloadId: undefined,
  stopping: Promise.resolve(),
  replacing: Promise.resolve(),
})

/**
 * Starts the next generation: sealed before its first instruction, able to serve, and probed. `exited` settles
 * when its workload ends. Throws when any of it fails, or when `stopped`; what was started then stands in the place.
 */
export async function bear(
  place: Place,
  deps: PlaceDeps,
  stopped: AbortSignal,
): Promise<{ replica: Replica; exited: Promise<unknown> }> {
  const { id, seal, containers, pauseImage, ready } = deps
  const { config } = deps.workload
  const name = `sealed-${id}-${place.index}`
  const activations = await deps.mount(String(place.index))
  const pause = await containers.startPause({
    name: `${name}-pause`,
    image: pauseImage,
    instance: id,
  })
  place.pause = pause
  const link = await seal.attach(pause.pid, {
    replica: place.index,
    generation: place.generation,
    workloadPort: config.port,
    egress: config.egress,
  })
  place.link = link
  place.hearing = await deps.hear?.(link)
  const { id: workloadId } = await containers.startWorkload({
    name: `${name}-workload`,
    image: config.image,
    pause: pause.id,
    instance: id,
    env: [...config.env, { name: 'PORT', value: String(link.workloadPort) }],
    memoryBytes: config.memory_bytes,
    pids: config.pids,
    activations,
    ...(config.command && { command: config.command }),
    ...(config.gpus && { gpus: config.gpus }),
    ...(config.runtime && { runtime: config.runtime }),
    ...(config.shm_bytes !== undefined && { shmBytes: config.shm_bytes }),
    ...(config.tmp_bytes !== undefined && { tmpBytes: config.tmp_bytes }),
    ...(config.weights && {
      weights: config.weights.map(({ path, root_hash }) => ({
        source: deps.volume(root_hash),
        target: path,
      })),
    }),
  })
  place.workloadId = workloadId
  if (stopped.aborted) throw new Error('the embassy is stopping')
  const exited = containers.ended(workloadId)
  await Promise.race([
    ready(link),
    exited.then(() => {
      throw new Error('the workload ended before it could serve')
    }),
  ])
  const replica: Replica = {
    index: place.index,
    generation: place.generation,
    link,
    activations,
    sessionsBefore: 0,
    probes: probesOf(await seal.probe(link, pause.pid)),
    egressOpenMs: 0,
    epoch: undefined,
    openedAtMs: undefined,
  }
  return { replica, exited }
}

/** Throws when one got through. */
export function probesOf({ blocked, reached, results }: ProbeReport): Replica['probes'] {
  if (reached > 0) {
    const through = results
      .filter(({ result }) => result === 'reached')
      .map(({ kind, target }) => `${kind} ${target}`)
    throw new Error(`probes got through the seal: ${through.join(', ')}`)
  }
  return { atMs: Date.now(), blocked, reached }
}

/** Removes what stands in a place, in order; what could not be removed is still there for the next attempt. */
export function clearPlace(
  place: Place,
  { containers, seal }: Pick<PlaceDeps, 'containers' | 'seal'>,
): Promise<void> {
  place.replica = undefined
  const before = place.stopping.catch(() => {})
  place.stopping = before.then(async () => {
    if (place.workloadId) await containers.remove(place.workloadId)
    place.workloadId = undefined
    await place.hearing?.close()
    place.hearing = undefined
    if (place.link) await seal.detach(place.link)
    place.link = undefined
    if (place.pause) await containers.remove(place.pause.id)
    place.pause = undefined
  })
  return place.stopping
}
