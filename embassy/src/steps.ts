// What measures the steps of a session, as everything else sees it: nothing of a session's contents or caller goes in.
import type { AbortReason } from '@sealed/protocol'

/**
 * The steps, in order: `admission` the checks before anything is sealed · `wait` for a replica · `seal` · `opening`
 * durable and in the TPM's chain · `workload` from the reveal to the commit · `activations` collected and judged ·
 * `commit` from the leaf to the receipt · `release` of the seal.
 */
export const STEPS = [
  'admission',
  'wait',
  'seal',
  'opening',
  'workload',
  'activations',
  'commit',
  'release',
] as const
export type StepName = (typeof STEPS)[number]

export interface Steps {
  /** Times `work`, and counts its failure. */
  time<T>(step: StepName, work: () => Promise<T>): Promise<T>
  spent(step: StepName, ms: number): void
  aborted(reason: AbortReason): void
  /** One step of the ledger took in so many openings and closings. */
  batch(openings: number, closings: number): void
}

export const UNMEASURED: Steps = {
  time: (_, work) => work(),
  spent: () => {},
  aborted: () => {},
  batch: () => {},
}
