// What the embassy says of itself and its workloads, kept for a moment so that health checks and model names do not
// become calls each.
import { SealedError, type Status, workloadFor } from '@sealed/protocol'
import type { EmbassyClient } from './deps.ts'

export type Workload = Status['workloads'][number]

const KEPT_MS = 1_000

export class StatusCache {
  readonly #embassy: EmbassyClient
  readonly #clock: () => number
  #pending: Promise<Status> | undefined
  #kept: { status: Status; until: number } | undefined

  constructor(embassy: EmbassyClient, clock: () => number) {
    this.#embassy = embassy
    this.#clock = clock
  }

  /** The status, at most a second old; callers share one call. Failures are not kept. */
  async get(): Promise<Status> {
    if (this.#kept && this.#clock() < this.#kept.until) return this.#kept.status
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  async #ask(): Promise<Status> {
    const status = await this.#embassy.status()
    this.#kept = { status, until: this.#clock() + KEPT_MS }
    return status
  }
}

/** The workload that serves a model, or has its name; throws `workload.unknown` or `endpoint.unknown`. */
export function findWorkload(status: Status, model: string, endpoint: string): Workload {
  const found = workloadFor(status.workloads, model)
  if (!found.endpoints.includes(endpoint))
    throw new SealedError(
      'endpoint.unknown',
      `workload ${found.name} does not serve ${endpoint}; it serves ${found.endpoints.join(', ')}`,
    )
  return found
}
