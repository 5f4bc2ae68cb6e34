// The digest over what is open, which is in every link of the TPM's chain: no open session can be taken out of the
// database, put in or changed. A row never changes while it is there, so each is hashed once, when it is written.
import { hash } from 'node:crypto'
import type { Statements } from './rows.ts'

/** A session or an epoch that is open: its opening statements as they stand on disk. */
export interface Begun {
  id: string
  text: string
}

const DIGEST_BYTES = 32
const rowDigest = ({ id, text }: Begun): Buffer => hash('sha256', `${id}\n${text}`, 'buffer')

/** Of one connection; a new one is needed where anything that it saw was undone. */
export class OpenSessions {
  /** Of the rows that the last digest was over. */
  #known = new Map<string, Buffer>()

  /** `opened` are those that were written since the last one. */
  digest(sql: Statements, opened: readonly Begun[] = []): string {
    const before = this.#known
    // An id may have been on disk before, and dropped.
    for (const begun of opened) before.set(begun.id, rowDigest(begun))
    const read = (id: string) =>
      rowDigest(sql.get<Begun>('SELECT id, statements AS text FROM sessions WHERE id = ?', id)!)
    const { listed } = sql.get<{ listed: string | null }>(
      "SELECT group_concat(id, ' ' ORDER BY id) AS listed FROM sessions",
    )!
    const ids = listed === null ? [] : listed.split(' ')
    const all = Buffer.allocUnsafe(DIGEST_BYTES * ids.length)
    this.#known = new Map()
    for (const [i, id] of ids.entries()) {
      const row = before.get(id) ?? read(id)
      this.#known.set(id, row)
      row.copy(all, DIGEST_BYTES * i)
    }
    return hash('sha256', all)
  }
}

/** Over id and opening statements of each session that is open, read from disk. */
export const openDigest = (sql: Statements): string => new OpenSessions().digest(sql)
