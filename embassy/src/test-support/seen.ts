// What left a machine's embassy, over all its lives: what must be held against what is on its disk in the end.
import type { SentEnvelope } from './envelope-client.ts'

/** An answer at the envelope door, opened with the client's secrets. */
export interface SealedAnswer {
  id: string
  sent: SentEnvelope
  status: number
  output: string
  receipt: string | undefined
}

export class Seen {
  /** Nonces that the ledger was asked to open a session with. */
  readonly opened = new Map<string, string>()
  /** Sessions whose key left the embassy, and the address of their replica. */
  readonly revealed = new Map<string, string>()
  /** Sessions of which a reveal or a commit was done although one was done or under way. */
  readonly twice: string[] = []
  /** Sessions that had no leaf when the replica that they were revealed to was opened. */
  readonly early: string[] = []
  /** Receipts of sessions that were answered as they asked. */
  readonly receipts: [session: string, receipt: string][] = []
  readonly sent: SentEnvelope[] = []
  readonly answers: SealedAnswer[] = []
}
