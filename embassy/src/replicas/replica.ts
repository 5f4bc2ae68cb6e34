// One replica as sessions see it: a workload container behind its own sealed link.
import type { ReplicaLink } from '../seal/index.ts'

export interface Replica {
  index: number
  /** How many containers have stood in this place before. */
  generation: number
  link: ReplicaLink
  /** Directory, on the host, that the workload writes its activations to. */
  activations: string
  sessionsBefore: number
  /** Last probe from inside: when, and how many attempts were refused or got through. */
  probes: { atMs: number; blocked: number; reached: number }
  /** Milliseconds that egress was open since the last session. */
  egressOpenMs: number
  /** When egress was last opened; undefined while sealed. */
  openedAtMs: number | undefined
}
