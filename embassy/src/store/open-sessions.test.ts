// Mutants: what was opened not taken anew; rows kept that are not there any more, or hashed without their id; no new
// `OpenSessions` in `isolated` ("after a step that was undone").
import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { InlineStore, NO_STORE_FAULTS } from '../test-support/inline-store.ts'
import { type Begun, OpenSessions, openDigest } from './open-sessions.ts'
import { type Connection, connect, Statements } from './rows.ts'
import type { Opening, Step } from './step.ts'

let directory: string
let db: Connection
let sql: Statements
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-open-'))
  db = connect(join(directory, 'embassy.db'))
  sql = new Statements(db)
})
afterAll(async () => {
  db.close()
  await rm(directory, { recursive: true })
})

const id = fc.constantFrom('a', 'b', 'c', 'd')
const text = fc.constantFrom('1', '2')
const step = fc.record({
  closed: fc.uniqueArray(id),
  opened: fc.uniqueArray(fc.record({ id, text }), { selector: (one) => one.id }),
})

/** Closes, then opens what is not open; what was opened. */
function take({ closed, opened }: { closed: string[]; opened: Begun[] }): Begun[] {
  for (const one of closed) sql.run('DELETE FROM sessions WHERE id = ?', one)
  const insert = "INSERT OR IGNORE INTO sessions (id, statements, document) VALUES (?, ?, '')"
  return opened.filter(({ id, text }) => sql.run(insert, id, text).changes === 1)
}

it('is the digest over what is on disk, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      db.exec('DELETE FROM sessions')
      const open = new OpenSessions()
      for (const one of steps) expect(open.digest(sql, take(one))).toBe(openDigest(sql))
    }),
    { numRuns: 400 },
  )
})

it('is another one for other ids, statements or numbers of them', () => {
  const digests = [
    [],
    [['a', '1']],
    [['a', '2']],
    [['b', '1']],
    [
      ['a', '1'],
      ['b', '1'],
    ],
  ].map((rows) => {
    db.exec('DELETE FROM sessions')
    take({ closed: [], opened: rows.map(([id, text]) => ({ id: id!, text: text! })) })
    return openDigest(sql)
  })
  expect(new Set(digests).size).toBe(5)
})

it('tells a row that was changed behind it from the one that it was', () => {
  db.exec('DELETE FROM sessions')
  const open = new OpenSessions()
  const before = open.digest(sql, take({ closed: [], opened: [{ id: 'a', text: '1' }] }))
  db.exec("UPDATE sessions SET statements = '2'")
  expect(open.digest(sql)).toBe(before)
  expect(openDigest(sql)).not.toBe(before)
})

it('is that of the disk after a step that was undone, wherever that was', async () => {
  const opening = (id: string, endpoint: string): Opening => ({
    id,
    statements: [{ type: 'request.received', endpoint }] as unknown as Opening['statements'],
    document: '',
  })
  const step = (openings: Opening[], dropped: string[] = []): Step => ({
    boot: { origin: 'o', akName: '', resetCount: 1, restartCount: 1 },
    openings,
    closings: [],
    checkpoint: false,
    kept: [],
    dropped,
  })
  for (let k = 0, failed = true; failed; k++) {
    const faults = { ...NO_STORE_FAULTS }
    const store = new InlineStore(join(directory, `${k}.db`), faults)
    await store.run('openLog', { origin: 'o', keySet: '' })
    await store.run('beginAnchors', { counter: 0n, chain: new Uint8Array(32) })
    await store.run('step', step([opening('a', '1'), opening('b', '1')]))
    faults.statement = k
    failed = await store.run('step', step([opening('a', '2')], ['a'])).then(
      () => false,
      () => true,
    )
    faults.statement = Number.POSITIVE_INFINITY
    const meta = (key: string) =>
      store.rows<{ value: Buffer }>(`SELECT value FROM meta WHERE key = 'anchors.${key}'`)[0]!.value
    const chain = meta('chain')
    await store.run('step', step([opening('c', '1')]))
    expect(meta('before').equals(chain), `statement ${k}`).toBe(true)
    const [row] = store.rows<{ value: string }>("SELECT value FROM meta WHERE key = 'anchors.said'")
    const rows = store.rows<Begun>('SELECT id, statements AS text FROM sessions ORDER BY id')
    expect(rows).toHaveLength(3)
    const digests = rows.map(({ id, text }) => hash('sha256', `${id}\n${text}`, 'buffer'))
    const { open } = JSON.parse(row!.value) as { open: string }
    expect(open, `statement ${k}`).toBe(hash('sha256', Buffer.concat(digests)))
    await store.close()
  }
})
