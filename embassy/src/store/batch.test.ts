// Mutants: without the throw in `batchesOn` the third document is on disk, although its caller was told that it is not;
// with a batch's kind not noted, or noted before SQLite has taken it, a durable batch is not on disk when it is answered.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { InlineStore, NO_STORE_FAULTS } from '../test-support/inline-store.ts'
import { batchesOn } from './batch.ts'
import { Operations } from './operations.ts'
import { connect } from './rows.ts'

test('a batch that SQLite undid half way leaves nothing, and says so to everyone in it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-batch-'))
  const faults = { ...NO_STORE_FAULTS, statement: 1 }
  const inline = new InlineStore(join(directory, 'embassy.db'), faults)
  const keep = (digest: string) => inline.run('keepDocument', { digest, document: '{}' })
  const answers = await Promise.allSettled(['a', 'b', 'c'].map(keep))
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(inline.rows('SELECT digest FROM documents')).toEqual([])
  await keep('d')
  expect(inline.rows('SELECT digest FROM documents')).toEqual([{ digest: 'd' }])
  await inline.close()
  await rm(directory, { recursive: true })
})

test('each batch runs as durable as it asks to be, whatever came before it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-batch-'))
  const db = connect(join(directory, 'embassy.db'))
  const operations = new Operations(db)
  const run = batchesOn(db, operations)
  const FULL = 2
  const NORMAL = 1
  const calls = [{ operation: 'pruneNonces', argument: undefined } as const]
  for (const durable of [true, false, false, true, true, false, true]) {
    expect(run({ calls, durable })).toEqual([{ value: undefined }])
    expect(db.pragma('synchronous', { simple: true })).toBe(durable ? FULL : NORMAL)
  }
  // One that SQLite cannot take, since a transaction is open, must not pass for done.
  run({ calls, durable: false })
  db.exec('BEGIN')
  expect(run({ calls, durable: true })).toEqual([
    { code: 'internal.error', message: expect.any(String) },
  ])
  db.exec('ROLLBACK')
  run({ calls, durable: true })
  expect(db.pragma('synchronous', { simple: true })).toBe(FULL)
  db.close()
  await rm(directory, { recursive: true })
})
