// Usage by API key and UTC day, for the operator's invoices: sums only, no session among them. It is not part of the
// state that the ledger proves; what is proven of use are the meters.
import { LogRows } from './log-rows.ts'
import type { Statements } from './rows.ts'

export interface Usage {
  /** As 2026-11-27, in UTC. */
  day: string
  caller: string
  /** Sessions that ended after their key was revealed: with an answer, or without. */
  answered: number
  aborted: number
  input_bytes: number
  output_bytes: number
}

export abstract class UsageRows extends LogRows {
  readonly #sql: Statements

  constructor(sql: Statements) {
    super(sql)
    this.#sql = sql
  }

  /** Adds to what is there, and forgets the days before `since`. */
  addUsage({ rows, since }: { rows: readonly Usage[]; since: string }): void {
    for (const { day, caller, answered, aborted, input_bytes, output_bytes } of rows)
      this.#sql.run(
        `INSERT INTO usage (day, caller, answered, aborted, input_bytes, output_bytes)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (day, caller) DO UPDATE SET
         answered = answered + excluded.answered, aborted = aborted + excluded.aborted,
         input_bytes = input_bytes + excluded.input_bytes, output_bytes = output_bytes + excluded.output_bytes`,
        day,
        caller,
        answered,
        aborted,
        input_bytes,
        output_bytes,
      )
    this.#sql.run('DELETE FROM usage WHERE day < ?', since)
  }

  /** By day, then by caller. */
  usage(): Usage[] {
    return this.#sql.all<Usage>(
      'SELECT day, caller, answered, aborted, input_bytes, output_bytes FROM usage ORDER BY day, caller',
    )
  }
}
