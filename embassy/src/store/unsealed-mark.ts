// A database belongs to a machine that seals or to one that does not, from its first log on: meters that no seal and no
// TPM stood behind never become those of a machine that has both, and the other way round.
import { SealedError } from '@sealed/protocol'
import { getMeta, type Statements, setMeta } from './rows.ts'
import { UsageRows } from './usage-rows.ts'

export abstract class MarkedRows extends UsageRows {
  readonly #sql: Statements

  constructor(sql: Statements) {
    super(sql)
    this.#sql = sql
  }

  /** Throws `config.invalid` where this database is of the other kind; a new one is of this kind from now on. */
  ensureOneKind(unsealed: boolean): void {
    const isNew = this.#sql.get('SELECT 1 FROM logs LIMIT 1') === undefined
    if (isNew && unsealed) setMeta(this.#sql, 'unsealed', 1)
    if ((getMeta(this.#sql, 'unsealed') !== undefined) === unsealed) return
    const of = unsealed ? 'a machine that seals' : 'a machine that cannot seal'
    throw new SealedError(
      'config.invalid',
      `the database in state_dir is that of ${of}: what was metered there is not gone on with here; use another state_dir`,
    )
  }
}
