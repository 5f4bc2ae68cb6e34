// The replicas of one workload: born sealed, probed before they serve, given to one session at a time or to those of one
// epoch, destroyed when anything about them is in doubt, and replaced in the background.
import { setTimeout as delay } from 'node:timers/promises'
import { type AbortReason, SealedError, type UnsealedReason, type Workload } from '@sealed/protocol'
import { clear, discard } from '../activations/sweep.ts'
import type { ReplicaLink, SealReading } from '../seal/index.ts'
import type { MeasuredWorkload } from '../session/admission.ts'
import type { Session } from '../session/session.ts'
import { type Steps, UNMEASURED } from '../steps.ts'
import { type Draft, monoUs } from '../store/stamp.ts'
import { type Company, Epoch } from './epoch.ts'
import { bear, clearPlace, emptyPlace, type Place, type PlaceDeps, probesOf } from './place.ts'
import { Pool } from './pool.ts'
import type { Entered, Reading, Replica } from './replica.ts'

export interface FleetDeps extends PlaceDeps {
  replicas: number
  /** Number of the first replica: unique over all workloads of this instance. */
  firstIndex: number
  probeIntervalMs: number
  /** Set where nothing is sealed: no reading is asked for, and no probe made. */
  unsealed?: UnsealedReason
  /** Starts a new firewall process and retires whatever it finds changed. */
  recoverSeal: () => Promise<void>
  onLost: (replica: Replica, reason: AbortReason) => Promise<void>
  /** Writes down that an epoch has ended, with what follows `epoch.begun`; resolves once that is on disk. */
  onEpochEnd: (epoch: Epoch, drafts: Draft[]) => Promise<void>
  steps?: Steps
  log: (message: string, fields: Record<string, unknown>) => void
}

type Entering = Pick<Session, 'id' | 'caller' | 'tenant'>
type Shared = NonNullable<Workload['epoch']>

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 30_000
/** Whoever joins an epoch does so on a reading of the seal that is not older. */
const READ_US = 1_000_000n
const ALONE: Company = { sessions_overlapping: 0, tenants: 1 }
/** What one session of an epoch can end with although nothing is amiss with its replica: its caller brought it about. */
const HARMLESS: ReadonlySet<AbortReason> = new Set([
  'client.gone',
  'registry.refused',
  'workload.refused',
  'workload.too_large',
])
/** What ends every session of a replica. */
const FATAL: ReadonlySet<AbortReason> = new Set([
  'embassy.restarted',
  'relay.lost',
  'replica.lost',
  'seal.breached',
  'seal.failed',
])

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
    this.pool = new Pool(deps.workload.config.epoch?.sessions, this.#steps)
    this.#places = Array.from({ length: deps.replicas }, (_, i) => emptyPlace(deps.firstIndex + i))
  }

  /** Replicas that serve or could serve a session now. */
  get ready(): number {
    return this.replicas.length
  }

  get replicas(): Replica[] {
    return this.#places.flatMap(({ replica }) => replica ?? [])
  }

  /** Starts every replica; throws when the first attempt of any fails. */
  async start(): Promise<void> {
    for (const place of this.#places) await this.#birth(place)
    if (this.unsealed) return
    this.#timer = setInterval(() => void this.#probeIdle(), this.#deps.probeIntervalMs)
  }

  /** Why nothing is sealed here, where that is so. */
  get unsealed(): UnsealedReason | undefined {
    return this.#deps.unsealed
  }

  /** Lets a session into a replica that it got a place in. Resolves when every way out is closed and read back to be so. */
  async enter(replica: Replica, session: Entering): Promise<Entered> {
    if (this.unsealed) return { reading: undefined, company: ALONE }
    const shared = this.workload.config.epoch
    if (!shared) return { reading: await this.#timedSeal(replica), company: ALONE }
    const known = replica.epoch
    const epoch = known ?? this.#beginEpoch(replica, shared)
    epoch.join(session.id, session.tenant ?? session.caller)
    await epoch.sealed
    if (known && monoUs() - epoch.last.readUs > READ_US) await this.check(replica)
    const { reading, readUs } = epoch.last
    const company = epoch.companyOf(session.id)
    return { reading, company, epoch: { id: epoch.id, ...(known && { readUs }) } }
  }

  #beginEpoch(replica: Replica, { idle_ms: idleMs, max_ms: maxMs }: Shared): Epoch {
    const seal = async () => {
      const reading = await this.#timedSeal(replica)
      clear(replica.activations)
      return reading
    }
    const { image, seal_policy: policy } = this.workload.config
    const { generation, index } = replica
    const of = { generation, image, policy, replica: index }
    replica.epoch = new Epoch({ seal, of, maxMs, idleMs, onDrain: () => this.#drain(replica) })
    return replica.epoch
  }

  #timedSeal(replica: Replica): Promise<Reading> {
    return this.#steps.time('seal', () => this.#seal(replica))
  }

  async #seal(replica: Replica): Promise<Reading> {
    const reading = await this.#guarded(() => this.#deps.seal.seal(replica.link))
    if (replica.openedAtMs !== undefined) {
      replica.egressOpenMs += Math.ceil(performance.now() - replica.openedAtMs)
      replica.openedAtMs = undefined
    }
    return pick(reading)
  }

  /** Shows that no rule has changed since all were read back, and reads the counters; a change is `seal.breached`. */
  async check(replica: Replica): Promise<Reading> {
    const askedUs = monoUs()
    const reading = await this.#guarded(() => this.#deps.seal.check(replica.link))
    if (!reading.sealed)
      throw new SealedError('seal.breached', 'the seal was opened during a session')
    const picked = pick(reading)
    replica.epoch?.wasRead(picked, askedUs)
    return picked
  }

  /** A session has ended well, or with nothing given out or left to do: the seal is let go unless others are under it. */
  leave(replica: Replica, session: string): void {
    const { epoch } = replica
    if (!epoch) {
      void this.#timedRelease(replica)
      return
    }
    epoch.leave(session)
    this.#left(replica, epoch)
  }

  /** A session has ended otherwise. The replica may still hold what it was given: it is destroyed, in an epoch with its end. */
  abandon(replica: Replica, session: string, reason: AbortReason): void {
    const { epoch } = replica
    epoch?.leave(session)
    if (epoch && !FATAL.has(reason)) {
      if (!HARMLESS.has(reason)) {
        epoch.doubt ??= reason
        epoch.drain()
      }
      this.#left(replica, epoch)
      return
    }
    if (!this.#stands(replica)) return
    this.retire(replica, reason)
    if (epoch) void this.#deps.onLost(replica, reason)
  }

  #left(replica: Replica, epoch: Epoch): void {
    discard(epoch.ended, replica.activations)
    if (!epoch.isDraining) this.pool.giveBack(replica)
    else if (epoch.size === 0) void this.#endEpoch(replica, epoch)
  }

  /** Nobody joins this replica's epoch any more: it ends with those that are in it. */
  #drain(replica: Replica): void {
    const epoch = replica.epoch!
    this.pool.withdraw(replica)
    if (epoch.size === 0) void this.#endEpoch(replica, epoch)
  }

  /** The last session has left: the log says that the seal held until now, and only then it is let go. */
  async #endEpoch(replica: Replica, epoch: Epoch): Promise<void> {
    if (epoch.doubt || this.workload.config.seal_policy === 'permanent')
      return this.retire(replica, epoch.doubt)
    try {
      const checked = await this.check(replica)
      if (checked.ruleset_digest !== (await epoch.sealed).ruleset_digest)
        throw new SealedError('seal.breached', 'the firewall’s ruleset changed during an epoch')
      const ended: Draft = { type: 'epoch.ended', how: 'released' }
      await this.#deps.onEpochEnd(epoch, [{ type: 'seal.checked', ...checked }, ended])
    } catch (error) {
      this.#deps.log('epoch broken', { replica: replica.index, error: (error as Error).message })
      return this.retire(replica, isSealFailure(error) ? 'seal.failed' : 'seal.breached')
    }
    replica.epoch = undefined
    if (Date.now() - replica.probes.atMs > this.#deps.probeIntervalMs) await this.#examine(replica)
    else await this.#timedRelease(replica)
  }

  /** Opens the workload's egress again and gives the replica to whoever waits. */
  #timedRelease(replica: Replica): Promise<void> {
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
    return this.replicas.includes(replica)
  }

  /** Destroys a replica, still sealed, and replaces it in the background. Without a reason that was the plan. */
  retire(replica: Replica, reason?: AbortReason): void {
    const place = this.#places.find((candidate) => candidate.replica === replica)
    if (!place || this.#stopped.signal.aborted) return
    place.replica = undefined
    this.pool.withdraw(replica)
    const { epoch } = replica
    epoch?.stop()
    this.#deps.log('replica retired', {
      replica: place.index,
      generation: place.generation,
      reason: reason ?? 'the end of its epoch',
    })
    const gone = () => {
      const ended: Draft = { type: 'epoch.ended', how: 'destroyed', ...(reason && { reason }) }
      if (epoch) void this.#deps.onEpochEnd(epoch, [ended])
    }
    place.replacing = this.#replace(place, gone)
  }

  /** Retires the replicas behind these links: their rules are not those that were loaded. */
  retireLinks(links: readonly ReplicaLink[]): void {
    for (const replica of this.replicas)
      if (links.some(({ device }) => device === replica.link.device))
        void this.lose(replica, 'seal.breached')
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
    for (const { epoch } of this.replicas) epoch?.stop()
    for (const place of this.#places) {
      await clearPlace(place, this.#deps)
      // What was being born when the stop came is there only now.
      await place.replacing
      await clearPlace(place, this.#deps)
    }
  }

  /** `gone` is called when what stood in the place is destroyed. */
  async #replace(place: Place, gone: () => void): Promise<void> {
    for (
      let wait = FIRST_RETRY_MS;
      !this.#stopped.signal.aborted;
      wait = Math.min(2 * wait, LAST_RETRY_MS)
    ) {
      try {
        await clearPlace(place, this.#deps)
        gone()
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
    const { replica, exited } = await bear(place, this.#deps, this.#stopped.signal)
    place.replica = replica
    void exited.then(() => this.lose(replica, 'replica.lost'))
    await this.#release(replica)
  }

  /** At each interval: replicas that nobody uses. One that waits under its seal for the next session is probed after its epoch. */
  async #probeIdle(): Promise<void> {
    for (const replica of this.replicas)
      if (!replica.epoch && this.pool.take(replica)) await this.#examine(replica)
  }

  /** Reads the whole ruleset back and repeats the probes, on a replica that is out of the pool, and gives it back. */
  async #examine(replica: Replica): Promise<void> {
    const pause = this.#places.find((place) => place.replica === replica)?.pause
    if (!pause) return
    try {
      await this.#seal(replica)
      await this.#deps.seal.verify(replica.link)
      replica.probes = probesOf(await this.#deps.seal.probe(replica.link, pause.pid))
      await this.#release(replica)
    } catch (error) {
      this.#deps.log('probe failed', { replica: replica.index, error: (error as Error).message })
      await this.lose(replica, 'seal.breached')
    }
  }

  /** Ends every session of a replica, then the replica. */
  async lose(replica: Replica, reason: AbortReason): Promise<void> {
    if (this.#stopped.signal.aborted || !this.#stands(replica)) return
    await this.#deps.onLost(replica, reason)
    this.retire(replica, reason)
  }
}

const isSealFailure = (error: unknown): boolean =>
  error instanceof SealedError && error.code === 'seal.failed'

const pick = ({ ruleset_digest, dropped_packets, rejected_packets }: SealReading): Reading => ({
  ruleset_digest,
  dropped_packets,
  rejected_packets,
})
