// The nouns of the seal: a replica's link to this machine, what was read of its firewall, what probes found.
// Types only; nothing here acts.
import type { EgressRule } from '@sealed/protocol'

/** The veth pair of one replica and what may pass it. All addresses are literals, ports are numbers. */
export interface ReplicaLink {
  readonly replica: number
  readonly generation: number
  /** Host end; at most 15 characters, holds the instance id. */
  readonly device: string
  readonly hostMac: string
  readonly workloadMac: string
  readonly hostAddress4: string
  readonly hostAddress6: string
  readonly workloadAddress4: string
  readonly workloadAddress6: string
  readonly workloadPort: number
  /** First and last source port that the relay's end may have. */
  readonly relayPorts: readonly [number, number]
  /** Where the embassy listens on `hostAddress4`. */
  readonly embassyPort: number
  readonly egress: readonly EgressRule[]
}

/** What is chosen for a replica; the rest of its link is derived. */
export interface LinkSpec {
  readonly replica: number
  readonly generation: number
  readonly workloadPort: number
  /** Destinations open while the replica is not sealed; `[]` closes it for good. */
  readonly egress: readonly EgressRule[]
}

/** Read back from the kernel, never remembered. Counters run from `attach` on. */
export interface SealReading {
  /** SHA-256 of the ruleset's text as loaded, lower-case hex. */
  readonly ruleset_digest: string
  readonly dropped_packets: number
  readonly rejected_packets: number
  /** True when no destination is open. */
  readonly sealed: boolean
}

export type ProbeKind = 'tcp' | 'udp' | 'dns' | 'icmp' | 'raw'

/** One attempt from inside the replica's network namespace. */
export interface Probe {
  readonly kind: ProbeKind
  /** Address, with `port` where the kind has one. */
  readonly target: string
  readonly port?: number
}

export interface ProbeResult {
  readonly kind: ProbeKind | 'witness'
  readonly target: string
  /** `reached`: an answer came back, or the second gate counted a packet that the first had let through. */
  readonly result: 'blocked' | 'reached'
}

export interface ProbeReport {
  readonly results: readonly ProbeResult[]
  readonly blocked: number
  readonly reached: number
  readonly took_ms: number
}

export interface Seal {
  /** Sweeps what a dead instance of this id left, claims addresses, starts the one firewall process. */
  start(): Promise<void>
  /** Links the network namespace of process `pid` to this machine, sealed before the link is up. */
  attach(pid: number, spec: LinkSpec): Promise<ReplicaLink>
  /** Removes link and rules; the namespace has no network afterwards. */
  detach(link: ReplicaLink): Promise<void>
  /** Closes every destination at once and reads back that it is so. */
  seal(link: ReplicaLink): Promise<SealReading>
  /**
   * Shows that nothing was changed since all rules were last read back (else reads them back), and reads the counters.
   * A change of this link's own rules is `seal.breached`, also where it was undone.
   */
  check(link: ReplicaLink): Promise<SealReading>
  /** Reads all rules back and compares them with what was loaded; `seal.breached` on any difference. */
  verify(link: ReplicaLink): Promise<SealReading>
  /** Opens the destinations of the egress list; one with an empty list stays sealed. */
  release(link: ReplicaLink): Promise<void>
  /** Tries every way out from inside; the replica must be sealed. */
  probe(link: ReplicaLink, pid: number): Promise<ProbeReport>
  /**
   * After `seal.failed`: a new firewall process, then all rules read back.
   * @returns the links whose rules are not those that were loaded; they are to be detached
   */
  recover(): Promise<ReplicaLink[]>
  /** Detaches every replica and removes all that `start` made. */
  stop(): Promise<void>
}
