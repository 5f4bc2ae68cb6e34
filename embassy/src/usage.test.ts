// Mutants: `ON CONFLICT` made REPLACE; sums not put back after a failure; MAX_CALLERS dropped; the deletion of old days
// dropped; readings counted; `kind === 'commit'` inverted; `account` left out of a commit's or an abort's closing.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Closing } from './store/step.ts'
import { Store } from './store/store.ts'
import { EmbassyWorld, newMachine } from './test-support/embassy-world.ts'
import { FakeTpm } from './test-support/fake-tpm.ts'
import { UsageCounter } from './usage.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 10, 27, 23, 59)

let directory: string
let store: Store
let now = START
beforeEach(() => {
  now = START
  directory = mkdtempSync(join(tmpdir(), 'usage-'))
  store = new Store(join(directory, 'embassy.db'))
})
afterEach(async () => {
  await store.close()
  rmSync(directory, { recursive: true })
})

const counter = (on: Pick<Store, 'runLazy'> = store) =>
  new UsageCounter({ store: on, days: 400, log: () => {}, now: () => now })
const closing = (caller: string, end: Partial<Closing['end']>, inputBytes = 10) =>
  ({ account: { caller, inputBytes }, end }) as unknown as Closing
const answered = (caller: string, outputBytes = 100) =>
  closing(caller, { kind: 'commit', outputBytes })
const aborted = (caller: string) =>
  closing(caller, { kind: 'abort', abort: { type: 'session.aborted', output_bytes: 7 } })
const row = (day: string, caller: string, ...numbers: number[]) => {
  const [answered, aborted, input_bytes, output_bytes] = numbers
  return { day, caller, answered, aborted, input_bytes, output_bytes }
}

describe('usage', () => {
  it('is summed by key and UTC day, over flushes and restarts', async () => {
    const first = counter()
    for (const one of [answered('a'), answered('a', 50), aborted('a'), answered('b')])
      first.ended(one)
    await first.flush()
    first.ended(answered('a'))
    expect(await first.read()).toEqual([
      row('2026-11-27', 'a', 3, 1, 40, 257),
      row('2026-11-27', 'b', 1, 0, 10, 100),
    ])
    now += 60_000
    const second = counter()
    second.ended(answered('a'))
    await second.stop()
    expect(await counter().read()).toEqual([
      row('2026-11-27', 'a', 3, 1, 40, 257),
      row('2026-11-27', 'b', 1, 0, 10, 100),
      row('2026-11-28', 'a', 1, 0, 10, 100),
    ])
  })

  it('is of sessions that used something: not of readings, nor of what a restart closed', async () => {
    const usage = counter()
    usage.ended(closing('a', { kind: 'read' }))
    usage.ended({ end: { kind: 'abort', abort: { output_bytes: 1 } } } as unknown as Closing)
    expect(await usage.read()).toEqual([])
  })

  it('is not lost where the disk is full for a while', async () => {
    let isFull = true
    const failing = {
      runLazy: (...args: Parameters<Store['runLazy']>) => {
        if (!isFull) return store.runLazy(...args)
        // A session that ends while the write is under way.
        usage.ended(answered('a', 1))
        return Promise.reject(new Error('full'))
      },
    } as Pick<Store, 'runLazy'>
    const usage = counter(failing)
    usage.ended(answered('a'))
    await usage.flush()
    usage.ended(answered('a'))
    usage.ended(aborted('b'))
    await usage.flush()
    isFull = false
    expect(await usage.read()).toEqual([
      row('2026-11-27', 'a', 4, 0, 40, 202),
      row('2026-11-27', 'b', 0, 1, 10, 7),
    ])
  })

  it('is kept for as long as receipts', async () => {
    const usage = counter()
    usage.ended(answered('a'))
    await usage.flush()
    now += 400 * DAY_MS
    usage.ended(answered('a'))
    expect((await usage.read()).map(({ day }) => day)).toEqual(['2026-11-27', '2028-01-01'])
    now += DAY_MS
    usage.ended(answered('a'))
    expect((await usage.read()).map(({ day }) => day)).toEqual(['2028-01-01', '2028-01-02'])
  })

  it('has no more names than there may be keys, whatever a gateway says', async () => {
    const usage = counter()
    for (let i = 0; i < 5_000; i++) usage.ended(answered(`name-${i}`))
    const rows = await usage.read()
    expect(rows).toHaveLength(4_097)
    expect(rows.find(({ caller }) => caller === 'others')).toMatchObject({ answered: 904 })
    expect(rows.reduce((sum, one) => sum + one.answered, 0)).toBe(5_000)
  })

  it('finds room in a database that was made before it', async () => {
    await store.close()
    const db = new Sqlite(join(directory, 'embassy.db'))
    db.exec('DROP TABLE usage')
    db.close()
    store = new Store(join(directory, 'embassy.db'))
    const usage = counter()
    usage.ended(answered('a'))
    expect(await usage.read()).toHaveLength(1)
  })
})

describe('sessions', () => {
  it('are accounted to who asked, once each, when their leaf is on disk', async () => {
    const ended: Closing[] = []
    // Beside the store of these tests, which has its own database open.
    const machine = await newMachine(mkdtempSync(join(directory, 'machine-')), new FakeTpm())
    const world = new EmbassyWorld(machine, undefined, undefined, {
      onEnded: (one) => ended.push(one),
    })
    await world.start()
    const one = await world.begin('alice', 12)
    world.handOver(one.revealed.address, [1, 0])
    await world.commit(one.id)
    const two = await world.begin('bob', 5)
    await world.sessions.abort(two.id, { output_bytes: 3, reason: 'client.gone' })
    await world.stop()
    expect(ended.map(({ account, end, session }) => [session, account, end.kind])).toEqual([
      [one.id, { caller: 'alice', inputBytes: 12 }, 'commit'],
      [two.id, { caller: 'bob', inputBytes: 5 }, 'abort'],
    ])
  })
})
