// Mutants: without `refuseOther` every file below is opened; with `>=` in place of equality a later layout is.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connect } from './rows.ts'
import { Store } from './store.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealed-rows-'))
  path = join(folder, 'embassy.db')
})
afterEach(() => rm(folder, { recursive: true }))

const refused = (message: string) =>
  expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining(message) })
function alter(sql: string): void {
  const db = new Sqlite(path)
  db.exec(sql)
  db.close()
}

test('a new database says whose it is and of which layout', () => {
  connect(path).close()
  const db = new Sqlite(path, { readonly: true })
  expect(db.pragma('user_version', { simple: true })).toBe(2)
  expect(db.pragma('application_id', { simple: true })).toBe(0x5345414c)
  db.close()
  connect(path).close()
})

test.each([
  ['an older layout', 'PRAGMA user_version = 1', 'layout 1'],
  ['a later layout', 'PRAGMA user_version = 3', 'layout 3'],
])('%s is refused, and left as it was', (_, sql, message) => {
  connect(path).close()
  alter(sql)
  expect(() => connect(path)).toThrow(refused(message))
  alter('PRAGMA user_version = 2')
  connect(path).close()
})

test('the database of another program is refused', () => {
  alter('CREATE TABLE other (x)')
  expect(() => connect(path)).toThrow(refused('another program'))
  alter('PRAGMA user_version = 2')
  expect(() => connect(path)).toThrow(refused('another program'))
})

test('what is no database at all is refused', async () => {
  await writeFile(path, 'x'.repeat(8192))
  expect(() => connect(path)).toThrow(refused('no database'))
})

test('the store says why it did not open', async () => {
  connect(path).close()
  alter('PRAGMA user_version = 7')
  const store = new Store(path)
  await expect(store.runLazy('anchors', undefined)).rejects.toThrow(refused('layout 7'))
  await expect(store.run('anchors', undefined)).rejects.toThrow(refused('layout 7'))
})
