// Numbers and stamps statements with this machine's clocks.
import type { Statement, StatementType } from '@sealed/protocol'

/** A statement without the members that numbering and clock add. */
export type Draft = Record<string, unknown> & { type: StatementType }

/** Monotonic time of this machine in microseconds, the same on every thread. */
export const monoUs = (): bigint => process.hrtime.bigint() / 1000n

/** Numbers and stamps drafts after the statements that stand already; no stamp falls behind one before it. */
export function extend(statements: readonly Statement[], drafts: readonly Draft[]): Statement[] {
  const out = [...statements]
  for (const draft of drafts) {
    const before = out.at(-1)
    const mono = monoUs()
    const last = BigInt(before?.mono_us ?? 0)
    // The monotonic clock starts anew with the machine; what a reboot closes was begun under the old one.
    const stamp = {
      mono_us: String(mono > last ? mono : last),
      utc_ms: Math.max(Date.now(), before?.utc_ms ?? 0),
    }
    out.push({ ...draft, ...stamp, seq: out.length } as unknown as Statement)
  }
  return out
}
