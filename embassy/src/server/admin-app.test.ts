// Mutants: a backup file of its own name left behind by `copy`; without `isCopying` two at once; without
// `ensureRoomFor` a copy takes the room that sessions need; `>=` for `>` in `entries` repeats a leaf; without `gid ===
// undefined` in listen.ts the socket is open to a group.
import { readdir, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import {
  decodeReceipt,
  holdEntries,
  parseCheckpointBody,
  parseLogEntry,
  parseNote,
  SealedError,
} from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { receiptOf } from '../store/receipt-rows.ts'
import { Statements } from '../store/rows.ts'
import { LedgerWorld } from '../test-support/ledger-world.ts'
import { type AdminAppDeps, adminApp, removeParts } from './admin-app.ts'
import { listen } from './listen.ts'

let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
})
afterEach(() => world.remove())

const app = (more: Partial<AdminAppDeps> = {}) =>
  adminApp({
    store: world.store,
    ledger: world.ledger,
    disk: { ensureRoomFor: async () => {} },
    usage: { read: async () => [] },
    state: world.directory,
    database: world.path,
    ...more,
  })
const parts = async () => (await readdir(world.directory)).filter((name) => name.includes('part'))
const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code

test('a backup is the database as one moment had it, while sessions go on', async () => {
  for (let i = 0; i < 20; i++) await world.use([1, 0], `${'a'.repeat(32)}/${i}`)
  const before = (await world.use([1, 0])).receipt
  const asked = Promise.resolve(app().request('/backup', { method: 'POST' }))
  const during = await Promise.all(Array.from({ length: 30 }, () => world.use([1, 0])))
  const response = await asked
  expect(response.status).toBe(200)
  const bytes = new Uint8Array(await response.arrayBuffer())
  expect(response.headers.get('content-length')).toBe(String(bytes.length))
  expect(await parts()).toEqual([])
  expect(during).toHaveLength(30)

  const path = join(world.directory, 'copy.db')
  await writeFile(path, bytes)
  const db = new Sqlite(path)
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
  const { session } = decodeReceipt(before).leaf
  expect(receiptOf(new Statements(db), session)).toBe(before)
  // Meters and log are of the same moment.
  const { leaves } = db.prepare('SELECT count(*) leaves FROM leaves').get() as { leaves: number }
  const { size } = db.prepare('SELECT size FROM logs').get() as { size: number }
  const { sessions } = db.prepare('SELECT sessions FROM coverage').get() as { sessions: number }
  expect([size, sessions]).toEqual([leaves, leaves - 1])
  db.close()
})

test('two backups at once are refused, and so is one for which there is no room', async () => {
  const one = app()
  const replies = await Promise.all(
    [1, 2].map(() => Promise.resolve(one.request('/backup', { method: 'POST' }))),
  )
  expect(replies.map(({ status }) => status).sort()).toEqual([200, 503])
  for (const reply of replies) await reply.arrayBuffer()
  const third = await one.request('/backup', { method: 'POST' })
  expect([third.status, (await third.arrayBuffer()).byteLength > 0]).toEqual([200, true])

  let asked = 0
  const disk = {
    ensureRoomFor: async (bytes: number) => {
      asked = bytes
      throw new SealedError('disk.full', 'no room')
    },
  }
  const full = await app({ disk }).request('/backup', { method: 'POST' })
  expect([full.status, await codeOf(full)]).toEqual([503, 'disk.full'])
  expect(asked).toBeGreaterThanOrEqual((await stat(world.path)).size)
  expect(await parts()).toEqual([])
})

test('a backup that fails leaves nothing behind, and what a killed one left is removed at a start', async () => {
  const store = {
    runLazy: world.store.runLazy.bind(world.store),
    backup: () => Promise.reject(new SealedError('disk.full', 'no room')),
  }
  const failed = await app({ store }).request('/backup', { method: 'POST' })
  expect(await codeOf(failed)).toBe('disk.full')
  expect(await parts()).toEqual([])
  await writeFile(join(world.directory, 'backup.0123456789abcdef.part'), 'x')
  await writeFile(join(world.directory, 'another.part'), 'x')
  await removeParts(world.directory)
  expect(await parts()).toEqual(['another.part'])
})

test('the leaves of all logs come in order, each once, and hash to their checkpoints', async () => {
  for (let i = 0; i < 120; i++) await world.use([1, 0])
  const heads = [(await world.store.runLazy('checkpoint', world.origin))!]
  await world.reboot()
  await world.ledger.start()
  await world.use([1, 0])
  heads.push((await world.store.runLazy('checkpoint', world.origin))!)
  const response = await app().request('/log/entries')
  const lines = (await response.text()).split('\n')
  expect(lines.pop()).toBe('')
  const held = await holdEntries(
    lines.map(parseLogEntry),
    heads.map((note) => parseCheckpointBody(parseNote(note).body)),
  )
  expect(held.map(({ held, size }) => [held, size])).toEqual([
    [121, 121],
    [2, 2],
  ])
})

test('its socket is root’s alone', async () => {
  const path = join(world.directory, 'admin.sock')
  const server = await listen(app(), path)
  try {
    const { gid, mode, uid } = await stat(path)
    expect([uid, gid, mode & 0o777]).toEqual([0, 0, 0o600])
    const status = await new Promise((resolve, reject) => {
      const asked = request({ socketPath: path, path: '/nothing' }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      asked.once('error', reject).end()
    })
    expect(status).toBe(404)
  } finally {
    await server.close()
  }
})
