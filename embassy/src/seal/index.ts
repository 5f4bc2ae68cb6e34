// The seal: what keeps a workload from the world. See design of each part in its file.
export type {
  LinkSpec,
  ProbeReport,
  ProbeResult,
  ReplicaLink,
  Seal,
  SealReading,
} from './link.ts'
export { createSeal, type SealOptions } from './nft-seal.ts'
export { nameservers, type ProbeOptions } from './probe.ts'
