// What each kind of TEE evidence has to show; the checks that ask for it are in tee-checks.ts.
import type { Bytes } from '../bytes.ts'

/** One report, opened. Each method is a check: it says what it found, throws a reason to fail, or throws `Skip`. */
export interface TeeJudge {
  /** What `document.tee_form` says. */
  readonly form: string
  /** What the report was asked to carry. */
  readonly reportData: Bytes
  /** What was launched: MEASUREMENT or MRTD. */
  readonly measurement: Bytes
  /** Whether patch levels are judged offline. */
  readonly tcbIsJudged: boolean
  /** Whether the policy names reference values of this kind. */
  readonly hasReferences: boolean
  chain(): Promise<string>
  signature(): Promise<string>
  tcb(): string
  guest(): string
  reference(): string
  eventLog(): Promise<string>
}
