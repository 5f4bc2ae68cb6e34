// What goes into one step of the ledger and what comes out of it: plain data that crosses to the store's thread.
import type { Action, BootGap, Statement } from '@sealed/protocol'
import type { Observation } from './registry-rows.ts'
import type { Draft } from './stamp.ts'

/** How a session or an epoch ends, as the store needs to know it. */
export interface Closing {
  /** Its id, or the epoch's. */
  session: string
  /** Statements made so far, numbered and stamped. */
  statements: Statement[]
  end:
    | {
        kind: 'commit'
        action: Exclude<Action, { type: 'read' }>
        /** Full id of the capability written. */
        capability?: string
        attribution: string
        observation?: Observation
        /** What follows `registry.applied`. */
        after: Draft[]
        outputBytes: number
      }
    | { kind: 'read'; authority: string; salt: Uint8Array; after?: number }
    | { kind: 'abort'; abort: Draft }
    /** An epoch, with what follows `epoch.begun`. */
    | { kind: 'epoch'; drafts: Draft[] }
  /** Whose use it is; absent where that is not known any more. */
  account?: { caller: string; inputBytes: number }
}

export interface Boot {
  origin: string
  akName: string
  resetCount: number
  restartCount: number
}

/** A leaf on disk that no receipt was made for yet, and its path to the batch's root. */
export interface Proof {
  session: string
  /** The leaf's canonical text. */
  leaf: string
  document: string
  index: number
  path: string[]
}

/** A session about to begin: what must be durable before its key leaves. */
export interface Opening {
  id: string
  nonce?: string
  statements: Statement[]
  document: string
  /** The epoch that it is the first of, or may be. */
  epoch?: { id: string; statements: Statement[] }
}

/** A checkpoint that was given out: its note, and its quote where there is a TPM. */
export interface Kept {
  size: number
  note: string
  quote?: { attest: Uint8Array; signature: Uint8Array }
}

/** How this boot's log begins where the database is a backup that was restored. */
export interface RestoredStart {
  /** The TPM's counter and chain, which the database takes as they are. */
  counter: bigint
  chain: Uint8Array
  gap: BootGap
}

/** One step of the ledger: everything that waits, in one transaction. */
export interface Step {
  boot: Boot
  restored?: RestoredStart
  openings: Opening[]
  closings: Closing[]
  /** Whether to end in a checkpoint. */
  checkpoint: boolean
  /** What earlier steps have made since: checkpoints, and openings that the TPM never took. */
  kept: Kept[]
  dropped: string[]
}

/** What is to be signed and quoted, and what it will prove. */
export interface CheckpointIntent {
  body: string
  size: number
  proofs: Proof[]
}

export interface Stepped {
  /** What the TPM's hash chain is extended by; absent when nothing was begun or closed. */
  link?: Uint8Array
  checkpoint?: CheckpointIntent
  /** Openings and closings that were refused, by session; the others are on disk. */
  refused: Record<string, { code: string; message: string }>
  /** What authorities read, by session. */
  readings: Record<string, string>
}
