// The replicas of one workload: born sealed, probed before they serve, given to one session at a time, destroyed when
// anything about them is in doubt, and replaced in the background.
import { setTimeout as delay } from 'node:timers/promises'
import { type AbortReason, SealedError } from '@sealed/protocol'
import type { Containers } from '../containers/index.ts'
import type { ReplicaLink, Seal, SealReading } from '../seal/index.ts'
import type { MeasuredWorkload } from '../session/admission.ts'
import { type Steps, UNMEASURED } from '../steps.ts'
import { Pool } from './pool.ts'
import type { Replica } from './replica.ts'

export interface FleetDeps {
  id: string
  workload: MeasuredWorkload
  replicas: number
  /** Number of the first replica: unique over all workloads of this instance. */
  firstIndex: number
  seal: Seal
  containers: Containers
  pauseImage: string
  /** An empty directory for the activations of the replica of this name. */
  mount: (name: string) => Promise<string>
  probeIntervalMs: number
  /** Starts a new firewall process and retires whatever it finds changed. */
  recoverSeal: () => Promise<void>
  /** Resolves when the workload accepts connections, seen from the relay; rejects after its own deadline. */
  ready: (link: ReplicaLink) => Promise<void>
  onLost: (replica: Replica, reason: AbortReason) => Promise<void>
  steps?: Steps
  log: (message: string, fields: Record<string, unknown>) => void
}

interface Place {
  index: number
  generation: number
  replica: Replica | undefined
  pause: { id: string; pid: number } | undefined
  link: ReplicaLink | undefined
  workloadId: string | undefined
  stopping: Promise<void>
  /** Settles when no replica is being born here. */
  replacing: Promise<void>
}

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 30_000

export class Fleet {
  readonly pool: Pool
  readonly workload: MeasuredWorkload
  readonly #deps: FleetDeps
  readonly #steps: Steps
  readonly #places: Place[]
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(deps: FleetDeps) {
    this.#deps = deps
    this.workload = deps.workload
    this.#steps = deps.steps ?? UNMEASURED
    this.pool = new Pool(this.#steps)
    this.#places = Array.from({ length: deps.replicas }, (_, i) => ({
      index: deps.firstIndex + i,
      generation: 0,
      replica: undefined,
      pause: undefined,
      link: undefined,
      workloadId: undefined,
      stopping: Promise.resolve(),
      replacing: Promise.resolve(),
    }))
  }

  /** Replicas that serve or could serve a session now. */
  get ready(): number {
    return this.#places.filter(({ replica }) => replica !== undefined).length
  }

  /** Starts every replica; throws when the first attempt of any fails. */
  async start(): Promise<void> {
    for (const place of this.#places) await this.#birth(place)
    this.#timer = setInterval(() => void this.#probeIdle(), this.#deps.probeIntervalMs)
  }

  /** Closes every way out and reads back that it is so. */
  seal(replica: Replica): Promise<Reading> {
    return this.#steps.time('seal', () => this.#seal(replica))
  }

  async #seal(replica: Replica): Promise<Reading> {
    const reading = await this.#guarded(() => this.#deps.seal.seal(replica.link))
    if (replica.openedAtMs !== undefined) {
      replica.egressOpenMs = Math.ceil(performance.now() - replica.openedAtMs)
      replica.openedAtMs = undefined
    } else replica.egressOpenMs = 0
    return pick(reading)
  }

  /** Shows that no rule has changed since all were read back, and reads the counters; a change is `seal.breached`. */
  async check(replica: Replica): Promise<Reading> {
    const reading = await this.#guarded(() => this.#deps.seal.check(replica.link))
    if (!reading.sealed)
      throw new SealedError('seal.breached', 'the seal was opened during a session')
    return pick(reading)
  }

  /** Opens the workload's egress again and gives the replica to the next session. */
  release(replica: Replica): Promise<void> {
    return this.#steps.time('release', () => this.#release(replica))
  }

  async #release(replica: Replica): Promise<void> {
    if (!this.#stands(replica)) return
    try {
      if (this.workload.config.egress.length > 0) {
        await this.#guarded(() => this.#deps.seal.release(replica.link))
        replica.openedAtMs = performance.now()
      }
    } catch (error) {
      this.#deps.log('release failed', { replica: replica.index, error: (error as Error).message })
      this.retire(replica, 'seal.failed')
      return
    }
    if (this.#stands(replica)) this.pool.offer(replica)
  }

  /** Whether it was not destroyed meanwhile. */
  #stands(replica: Replica): boolean {
    return this.#places.some((place) => place.replica === replica)
  }

  /** Destroys a replica, still sealed, and replaces it in the background. */
  retire(replica: Replica, reason: AbortReason): void {
    const place = this.#places.find((candidate) => candidate.replica === replica)
    if (!place || this.#stopped.signal.aborted) return
    place.replica = undefined
    this.pool.take(replica)
    this.#deps.log('replica retired', {
      replica: place.index,
      generation: place.generation,
      reason,
    })
    place.replacing = this.#replace(place)
  }

  /** Retires the replicas behind these links: their rules are not those that were loaded. */
  retireLinks(links: readonly ReplicaLink[]): void {
    for (const { replica } of this.#places)
      if (replica && links.some(({ device }) => device === replica.link.device))
        void this.#lost(replica, 'seal.breached')
  }

  /** A firewall process that died is replaced at once, and every link looked at, before anything else relies on it. */
  async #guarded<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      if (isSealFailure(error)) await this.#deps.recoverSeal()
      throw error
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    clearInterval(this.#timer)
    this.pool.close()
    for (const place of this.#places) {
      await this.#destroy(place)
      // What was being born when the stop came is there only now.
      await place.replacing
      await this.#destroy(place)
    }
  }

  async #replace(place: Place): Promise<void> {
    for (
      let wait = FIRST_RETRY_MS;
      !this.#stopped.signal.aborted;
      wait = Math.min(2 * wait, LAST_RETRY_MS)
    ) {
      try {
        await this.#destroy(place)
        if (this.#stopped.signal.aborted) return
        place.generation += 1
        await this.#birth(place)
        return
      } catch (error) {
        if (isSealFailure(error)) await this.#deps.recoverSeal()
        this.#deps.log('replica does not start', {
          replica: place.index,
          error: (error as Error).message,
          retry_ms: wait,
        })
        await delay(wait, undefined, { signal: this.#stopped.signal }).catch(() => {})
      }
    }
  }

  async #birth(place: Place): Promise<void> {
    const { id, seal, containers, pauseImage, ready } = this.#deps
    const { config } = this.workload
    const name = `sealed-${id}-${place.index}`
    const activations = await this.#deps.mount(String(place.index))
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
    const { id: workloadId } = await containers.startWorkload({
      name: `${name}-workload`,
      image: config.image,
      pause: pause.id,
      instance: id,
      env: [...config.env, { name: 'PORT', value: String(config.port) }],
      memoryBytes: config.memory_bytes,
      pids: config.pids,
      activations,
    })
    place.workloadId = workloadId
    if (this.#stopped.signal.aborted) throw new Error('the embassy is stopping')
    const exited = containers.ended(workloadId)
    await Promise.race([
      ready(link),
      exited.then(() => {
        throw new Error('the workload ended before it accepted a connection')
      }),
    ])
    const probes = await this.#probe(link, pause.pid)
    const replica: Replica = {
      index: place.index,
      generation: place.generation,
      link,
      activations,
      sessionsBefore: 0,
      probes,
      egressOpenMs: 0,
      openedAtMs: undefined,
    }
    place.replica = replica
    void exited.then(() => this.#lost(replica, 'replica.lost'))
    await this.#release(replica)
  }

  async #probe(link: ReplicaLink, pid: number): Promise<Replica['probes']> {
    const { blocked, reached, results } = await this.#deps.seal.probe(link, pid)
    if (reached > 0) {
      const through = results
        .filter(({ result }) => result === 'reached')
        .map(({ kind, target }) => `${kind} ${target}`)
      throw new Error(`probes got through the seal: ${through.join(', ')}`)
    }
    return { atMs: Date.now(), blocked, reached }
  }

  /** At each interval: whole ruleset read back and probes repeated, on replicas that nobody uses at the moment. */
  async #probeIdle(): Promise<void> {
    for (const { replica, pause } of this.#places) {
      if (!replica || !pause || !this.pool.take(replica)) continue
      try {
        await this.#seal(replica)
        await this.#deps.seal.verify(replica.link)
        replica.probes = await this.#probe(replica.link, pause.pid)
        await this.#release(replica)
      } catch (error) {
        this.#deps.log('probe failed', { replica: replica.index, error: (error as Error).message })
        await this.#lost(replica, 'seal.breached')
      }
    }
  }

  async #lost(replica: Replica, reason: AbortReason): Promise<void> {
    if (this.#stopped.signal.aborted || !this.#stands(replica)) return
    await this.#deps.onLost(replica, reason)
    this.retire(replica, reason)
  }

  /** Removes what stands in this place, in order; what could not be removed is still there for the next attempt. */
  #destroy(place: Place): Promise<void> {
    const { containers, seal } = this.#deps
    place.replica = undefined
    const before = place.stopping.catch(() => {})
    place.stopping = before.then(async () => {
      if (place.workloadId) await containers.remove(place.workloadId)
      place.workloadId = undefined
      if (place.link) await seal.detach(place.link)
      place.link = undefined
      if (place.pause) await containers.remove(place.pause.id)
      place.pause = undefined
    })
    return place.stopping
  }
}

const isSealFailure = (error: unknown): boolean =>
  error instanceof SealedError && error.code === 'seal.failed'

/** The members of a reading that stand in statements. */
export type Reading = Pick<SealReading, 'ruleset_digest' | 'dropped_packets' | 'rejected_packets'>
const pick = ({ ruleset_digest, dropped_packets, rejected_packets }: SealReading): Reading => ({
  ruleset_digest,
  dropped_packets,
  rejected_packets,
})
