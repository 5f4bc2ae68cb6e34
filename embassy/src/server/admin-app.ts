// What the embassy answers root on its own machine: copies of what it keeps, and usage by API key. Nothing here changes anything, and nothing
// secret is among it: keys are in no database.
import { randomBytes } from 'node:crypto'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { canonicalize, SealedError, utf8 } from '@sealed/protocol'
import { Hono } from 'hono'
import type { Ledger } from '../ledger/ledger.ts'
import type { FreeDisk } from '../store/free-disk.ts'
import type { LeafPlace } from '../store/log-rows.ts'
import type { Store } from '../store/store.ts'
import type { UsageCounter } from '../usage.ts'
import { onError } from './errors.ts'

export interface AdminAppDeps {
  store: Pick<Store, 'backup' | 'runLazy'>
  ledger: Pick<Ledger, 'written'>
  disk: Pick<FreeDisk, 'ensureRoomFor'>
  usage: Pick<UsageCounter, 'read'>
  /** The directory with the database, where a copy is made before it is sent. */
  state: string
  database: string
}

const PART = /^backup\.[0-9a-f]{16}\.part$/
/** Leaves that are read at once for an export. */
const PAGE = 100

export function adminApp(deps: AdminAppDeps): Hono {
  const { ledger, store } = deps
  let isCopying = false
  const app = new Hono()
  app.onError(onError)
  app.post('/backup', async (c) => {
    if (isCopying) throw new SealedError('embassy.unavailable', 'another backup is under way')
    isCopying = true
    try {
      await ledger.written()
      const file = await copy(deps)
      const headers = {
        'content-length': String((await file.stat()).size),
        'content-type': 'application/vnd.sqlite3',
      }
      return c.body(streamOf(file.createReadStream()), 200, headers)
    } finally {
      isCopying = false
    }
  })
  app.get('/usage', async (c) => c.json({ usage: await deps.usage.read() }))
  app.get('/log/entries', async (c) => {
    await ledger.written()
    const lines = Readable.from(entries(store), { objectMode: false })
    return c.body(streamOf(lines), 200, { 'content-type': 'application/jsonl' })
  })
  return app
}

/** Removes what a copy left that was cut off. */
export async function removeParts(state: string): Promise<void> {
  for (const name of await readdir(state))
    if (PART.test(name)) await rm(join(state, name), { force: true })
}

/** A copy of the database, open and without a name: gone with whoever reads it. */
async function copy({ database, disk, state, store }: AdminAppDeps) {
  const sizes = await Promise.all(
    ['', '-wal'].map((suffix) => stat(database + suffix).then(({ size }) => size)),
  )
  await disk.ensureRoomFor(sizes.reduce((sum, size) => sum + size, 0))
  const path = join(state, `backup.${randomBytes(8).toString('hex')}.part`)
  const file = await open(path, 'wx+', 0o600)
  try {
    await store.backup(path)
    return file
  } catch (error) {
    await file.close()
    throw error
  } finally {
    await rm(path, { force: true })
  }
}

/** Every leaf whose text is kept, as a canonical line each. */
async function* entries(store: Pick<Store, 'runLazy'>): AsyncGenerator<Uint8Array> {
  let after: LeafPlace = { log: 0, idx: -1 }
  for (;;) {
    const rows = await store.runLazy('entries', { after, limit: PAGE })
    const lines = rows.map(({ idx, leaf, origin }) => canonicalize({ index: idx, leaf, origin }))
    if (lines.length > 0) yield utf8(`${lines.join('\n')}\n`)
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return
    after = { log: last.log, idx: last.idx }
  }
}

const streamOf = (readable: Readable): ReadableStream =>
  Readable.toWeb(readable) as unknown as ReadableStream
