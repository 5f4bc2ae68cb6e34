// A firewall and a container engine that keep what fleets need of them, and can be told to fail at their k-th call.
import { SealedError } from '@sealed/protocol'
import type { Containers, WorkloadSpec } from '../containers/index.ts'
import type { LinkSpec, ReplicaLink, Seal, SealReading } from '../seal/index.ts'

/** Counts down; the call at which it is zero fails. */
export interface Countdown {
  failAt: number
}

const failing = (countdown: Countdown, code: 'seal.failed' | 'internal.error') => {
  if (countdown.failAt-- === 0) throw new SealedError(code, 'told to fail')
}

export class FakeSeal implements Seal, Countdown {
  failAt = Number.POSITIVE_INFINITY
  /** Links that stand, and whether each is sealed. */
  readonly links = new Map<string, boolean>()
  /** Called when egress is about to be opened. */
  onRelease: (link: ReplicaLink) => void = () => {}

  async #call<T>(act: () => T): Promise<T> {
    failing(this, 'seal.failed')
    return act()
  }

  #reading(link: ReplicaLink): SealReading {
    const sealed = this.links.get(link.device)
    if (sealed === undefined) throw new SealedError('seal.failed', `${link.device} is not attached`)
    return { ruleset_digest: 'ab'.repeat(32), dropped_packets: 0, rejected_packets: 0, sealed }
  }

  start = () => Promise.resolve()
  stop = () => Promise.resolve()
  recover = () => Promise.resolve([])
  attach = (_pid: number, spec: LinkSpec) =>
    this.#call((): ReplicaLink => {
      const device = `fake-${spec.replica}-${spec.generation}`
      this.links.set(device, true)
      return {
        ...spec,
        device,
        hostMac: '',
        workloadMac: '',
        hostAddress4: '',
        hostAddress6: '',
        workloadAddress4: `${spec.replica}-${spec.generation}`,
        workloadAddress6: '',
        relayPorts: [1, 2],
        embassyPort: 3,
      }
    })
  detach = (link: ReplicaLink) => this.#call(() => void this.links.delete(link.device))
  seal = (link: ReplicaLink) =>
    this.#call(() => {
      if (this.links.has(link.device)) this.links.set(link.device, true)
      return this.#reading(link)
    })
  check = (link: ReplicaLink) => this.#call(() => this.#reading(link))
  verify = (link: ReplicaLink) => this.#call(() => this.#reading(link))
  release = (link: ReplicaLink) =>
    this.#call(() => {
      this.onRelease(link)
      this.links.set(link.device, false)
    })
  probe = () => this.#call(() => ({ results: [], blocked: 1, reached: 0, took_ms: 0 }))
}

export class FakeContainers implements Containers, Countdown {
  failAt = Number.POSITIVE_INFINITY
  /** Containers that run, and what is to be told when one ends. */
  readonly running = new Map<string, () => void>()
  /** What workloads were started with. */
  readonly started: WorkloadSpec[] = []
  #made = 0

  async #call<T>(act: () => T): Promise<T> {
    failing(this, 'internal.error')
    return act()
  }

  #make(name: string): string {
    const id = `${name}#${this.#made++}`
    this.running.set(id, () => {})
    return id
  }

  loadImage = () => this.#call(() => undefined)
  startPause = ({ name }: { name: string }) => this.#call(() => ({ id: this.#make(name), pid: 1 }))
  startWorkload = (spec: WorkloadSpec) =>
    this.#call(() => {
      this.started.push(spec)
      return { id: this.#make(spec.name), image: spec.image }
    })
  restart = () => this.#call(() => undefined)
  ended = (id: string) =>
    new Promise<{ exitCode: number; outOfMemory: boolean }>((resolve) => {
      this.running.set(id, () => resolve({ exitCode: 137, outOfMemory: false }))
    })
  inspect = () => this.#call(() => ({ running: true, pid: 1, image: '', exitCode: 0 }))
  kill = (id: string) => this.remove(id)
  remove = (id: string) =>
    this.#call(() => {
      const end = this.running.get(id)
      this.running.delete(id)
      end?.()
    })
  sweep = () => this.#call(() => this.running.clear())
}
