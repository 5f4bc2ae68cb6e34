// One replica as sessions see it: a workload container behind its own sealed link.
import type { ReplicaLink, SealReading } from '../seal/index.ts'
import type { Company, Epoch } from './epoch.ts'

/** The members of a reading that stand in statements. */
export type Reading = Pick<SealReading, 'ruleset_digest' | 'dropped_packets' | 'rejected_packets'>

/** How a session found its replica sealed. */
export interface Entered {
  /** Undefined where nothing is sealed. */
  reading: Reading | undefined
  company: Company
  /** The epoch that it is in, under that seal policy; `readUs` where it joined others, whose seal was read then. */
  epoch?: { id: string; readUs?: bigint }
}

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
  /** Milliseconds that egress was open and no session has stated yet. */
  egressOpenMs: number
  /** Seal policy `epoch`: the one that is on. */
  epoch: Epoch | undefined
  /** When egress was last opened; undefined while sealed. */
  openedAtMs: number | undefined
}
