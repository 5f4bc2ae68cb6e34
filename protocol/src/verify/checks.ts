// The list of checks a verifier makes, and the recorder that runs them. A check passes, fails, or is skipped with its
// reason; a skipped check is never a passed one.
import { SealedError } from '../errors.ts'

/** Every check there is, with the section of SPEC.md that defines it. */
export const CHECKS = {
  'document.form': 'Attestation document',
  'document.ak': 'Attestation key',
  'document.ak_chain': 'Attestation key',
  'document.instance': 'Attestation key',
  'document.quote_signature': 'Quote',
  'document.quote_selection': 'Quote',
  'document.quote_binding': 'Quote',
  'document.pcr_key_set': 'Measurements',
  'document.pcr_configuration': 'Measurements',
  'document.pcr_launch': 'Launch',
  'document.pcr_reference': 'Measurements',
  'document.event_log': 'Event log',
  'document.boot_application': 'Event log',
  'document.tee_form': 'TEE evidence',
  'document.tee_chain': 'TEE evidence',
  'document.tee_signature': 'TEE evidence',
  'document.tee_binding': 'TEE evidence',
  'document.tee_tcb': 'TEE evidence',
  'document.tee_guest': 'TEE evidence',
  'document.tee_reference': 'TEE evidence',
  'document.tee_event_log': 'TEE evidence',
  'document.transport_keys': 'Key set',
  'document.configuration': 'Policy',
  'document.challenge': 'Challenge',
  'receipt.form': 'Receipt',
  'receipt.grammar': 'Grammar',
  'receipt.document': 'Receipt',
  'receipt.checkpoint_signature': 'Checkpoint',
  'receipt.inclusion': 'Inclusion',
  'receipt.quote_signature': 'Quote',
  'receipt.quote_selection': 'Quote',
  'receipt.quote_binding': 'Quote',
  'receipt.boot': 'Boot',
  'receipt.configuration': 'Policy',
  'receipt.metering': 'Policy',
  'receipt.transport_key': 'Key set',
  'receipt.request': 'Digests',
  'receipt.nonce': 'Digests',
  'receipt.output': 'Digests',
  'receipt.time': 'Time',
  'receipt.fork': 'Cosignatures',
} as const
export type CheckId = keyof typeof CHECKS

export interface CheckEntry {
  id: CheckId
  section: string
  result: 'pass' | 'fail' | 'skip'
  /** Whether a skip of this check leaves the verdict incomplete. */
  required: boolean
  reason: string
}

/** verified: every required check passed and none failed; incomplete: one required check could not be made. */
export type Outcome = 'verified' | 'failed' | 'incomplete'

/** Thrown by a check that cannot be made here. */
export class Skip extends Error {}

export class Checks {
  readonly entries: CheckEntry[]

  /** `before`: what was checked already and counts in this verdict too. */
  constructor(before: readonly CheckEntry[] = []) {
    this.entries = before.map((entry) => ({ ...entry }))
  }

  /**
   * Runs one check and records it. The body returns what it found, throws a reason to fail, or throws `Skip`. Checks
   * that do not need one another may run side by side; their entries stand in the order in which they were begun, and
   * one that has not ended is a failed one.
   */
  async run(id: CheckId, required: boolean, body: () => Promise<string> | string): Promise<void> {
    const begun = { id, section: CHECKS[id], required }
    const at = this.entries.push({ ...begun, result: 'fail', reason: 'has not ended' }) - 1
    const end = (result: CheckEntry['result'], reason: string) => {
      this.entries[at] = { ...begun, result, reason }
    }
    try {
      end('pass', await body())
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown failure'
      if (error instanceof Skip) end('skip', reason)
      else if (error instanceof Refusal || error instanceof SealedError) end('fail', reason)
      else end('fail', 'malformed evidence')
    }
  }

  /** Records as skipped every check of a kind that has not run: what they all need is missing. */
  skipRest(kind: 'document' | 'receipt', reason: string): void {
    const done = new Set(this.entries.map(({ id }) => id))
    for (const id of Object.keys(CHECKS) as CheckId[])
      if (id.startsWith(`${kind}.`) && !done.has(id))
        this.entries.push({ id, section: CHECKS[id], required: true, result: 'skip', reason })
  }

  get outcome(): Outcome {
    if (this.entries.some((entry) => entry.result === 'fail')) return 'failed'
    return this.entries.some((entry) => entry.required && entry.result === 'skip')
      ? 'incomplete'
      : 'verified'
  }
}

/** The reason for which a check fails. */
export class Refusal extends Error {}

/** Fails the running check with `reason` unless `condition` holds. */
export function ensure(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new Refusal(reason)
}

/** The value, or a skip: the check that made it has already failed. */
export function needs<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Skip(`needs ${what}`)
  return value
}
