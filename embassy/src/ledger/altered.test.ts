// A database that was set back or altered while the embassy was stopped, by one who has the disk: the start refuses it,
// or the request that needs what was altered.
// Mutants: without `checkSaid` open sessions can be taken away; without the comparison of `head.state` meters can be
// lowered together with what says so; without `root` in check-last.ts a log can be cut; without `rootWith` there an
// unproven leaf can be another; without `provenNodes` in log-rows.ts proofs lead nowhere.
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { decodeReceipt, parseCheckpointBody, parseNote, parseTilePath } from '@sealed/protocol'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { closingOf, LedgerWorld } from '../test-support/ledger-world.ts'

const A = 'a'.repeat(32)
/** SHA-256 of nothing. */
const NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
let world: LedgerWorld
/** The session of the first receipt; the second leaf. */
let session: string

let restore: () => Promise<void>

/** A log of six leaves, one meter that moved, one session open. */
beforeAll(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
  await world.use([1, 0], `${A}/x`)
  const receipts = []
  for (let i = 0; i < 4; i++) receipts.push(await world.use([1, 0]))
  session = decodeReceipt(receipts[0]!.receipt).leaf.session
  await world.open()
  restore = await world.remember()
})
beforeEach(() => restore())
afterEach(() => void vi.useRealTimers())
afterAll(() => world.remove())

describe('a start refuses', () => {
  test.each<[string, string[], code?: string]>([
    ['meters that were lowered', ['UPDATE meters SET millionths = millionths - 1']],
    ['a meter that is gone', ['DELETE FROM meters']],
    ['coverage that was lowered', ['UPDATE coverage SET sessions = 0']],
    ['a signature that was altered', ["UPDATE signatures SET vector = x'0000803f0000803f'"]],
    ['a signature that is gone', ['DELETE FROM signatures']],
    [
      'a signature that is gone with what says so',
      [
        'DELETE FROM signatures',
        `UPDATE meta SET value = zeroblob(32) WHERE key = 'registry.chain'`,
        `UPDATE meta SET value = 0 WHERE key = 'registry.version'`,
      ],
    ],
    ['an open session that is gone', ['DELETE FROM sessions']],
    [
      'an open session that was altered',
      [`UPDATE sessions SET statements = replace(statements, 'plain', 'plaim')`],
    ],
    [
      'a log that was cut',
      ['UPDATE logs SET size = 5', 'DELETE FROM leaves WHERE idx = 5'],
      'log.damaged',
    ],
    ['a log that was cut with its checkpoint', ['UPDATE logs SET size = 5, note = NULL']],
    [
      'a hash at the log’s edge',
      ['UPDATE nodes SET hash = zeroblob(32) WHERE level = 2'],
      'log.damaged',
    ],
    [
      'a hash at the log’s edge, and no checkpoint',
      ['UPDATE nodes SET hash = zeroblob(32) WHERE level = 2', 'UPDATE logs SET note = NULL'],
    ],
    ['a hash that is gone', ['DELETE FROM nodes WHERE level = 1 AND idx = 2'], 'log.damaged'],
    ['a log that is gone', ['DELETE FROM logs']],
    [
      'another text of the last step',
      [`UPDATE meta SET value = replace(value, '"size":6', '"size":5') WHERE key = 'anchors.said'`],
    ],
    [
      'an open session that is gone, with the text of the last step',
      [
        'DELETE FROM sessions',
        `UPDATE meta SET value = json_set(value, '$.open', '${NOTHING}') WHERE key = 'anchors.said'`,
      ],
    ],
    ['no last step', [`UPDATE meta SET value = zeroblob(0) WHERE key = 'anchors.link'`]],
    ['a database that has forgotten its TPM', [`DELETE FROM meta WHERE key LIKE 'anchors.%'`]],
    [
      'one that says it was about to meet it',
      [`DELETE FROM meta WHERE key LIKE 'anchors.%' AND key <> 'anchors.intended'`],
    ],
  ])('%s', async (_, sql, code = 'state.rollback') => {
    const { quotes } = world.tpm
    await world.alter(...sql)
    await expect(world.ledger.start()).rejects.toThrow(expect.objectContaining({ code }))
    expect(world.tpm.quotes).toBe(quotes)
  })

  test('a leaf that no receipt was made for yet and that was altered', async () => {
    await world.ledger.start()
    const { id, statements } = await world.open()
    world.tpm.failAt = 2
    await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow()
    world.tpm.failAt = Number.POSITIVE_INFINITY
    await world.alter(`UPDATE leaves SET leaf = replace(leaf, 'noop', 'nope') WHERE idx = 6`)
    await expect(world.ledger.start()).rejects.toThrow(
      expect.objectContaining({ code: 'state.rollback' }),
    )
  })

  test('the files as they lay there a session ago, the write-ahead log with them', async () => {
    await world.ledger.start()
    await world.use([1, 0])
    const files = ['', '-wal'].map((suffix) => world.path + suffix)
    for (const file of files) await copyFile(file, `${file}.old`)
    await world.use([1, 0])
    await world.stop()
    for (const file of files) await writeFile(file, await readFile(`${file}.old`))
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(
      expect.objectContaining({ code: 'state.rollback' }),
    )
  })

  test('nothing where nothing was altered', async () => {
    await world.alter()
    await world.ledger.start()
    expect(await world.meter(`${A}/x`)).toBe(4_000_000)
  })
})

describe('a request names it when it needs', () => {
  const damaged = expect.objectContaining({ code: 'log.damaged' })
  const asked = {
    proof: () => world.store.runLazy('proof', session),
    tile: () =>
      world.store.runLazy('tile', {
        origin: world.origin,
        tile: parseTilePath('tile/0/000.p/6')!,
      }),
    consistency: () =>
      world.store.runLazy('consistency', { origin: world.origin, old: 3, size: 6 }),
    boot: () => world.store.runLazy('bootLeaf', world.origin),
  }
  test.each<[string, string, (keyof typeof asked)[]]>([
    [
      'a leaf’s hash that was altered',
      'UPDATE nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 3',
      ['proof', 'tile', 'consistency'],
    ],
    ['one that is gone', 'DELETE FROM nodes WHERE level = 0 AND idx = 3', ['proof', 'tile']],
    [
      'an inner hash that was altered',
      'UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 0',
      ['proof', 'consistency'],
    ],
    [
      'the first leaf, altered',
      `UPDATE leaves SET leaf = replace(leaf, 'boot', 'root') WHERE idx = 0`,
      ['boot'],
    ],
    ['the first leaf, gone', 'DELETE FROM leaves WHERE idx = 0', ['boot']],
  ])('%s', async (_, sql, needed) => {
    for (const what of ['proof', 'tile', 'consistency', 'boot'] as const)
      expect(await asked[what]()).toBeDefined()
    await world.alter(sql)
    // What nobody reads at a start is found where it is read.
    await world.ledger.start()
    for (const what of needed) await expect(asked[what]()).rejects.toThrow(damaged)
  })
})

test('a clock that steps back makes no time fall, within a session and from checkpoint to checkpoint', async () => {
  await world.ledger.start()
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 })
  const { id, statements } = await world.open()
  vi.useRealTimers()
  const first = await world.ledger.close(closingOf(id, statements, [1, 0]))
  await world.restart()
  await world.ledger.start()
  const second = await world.use([1, 0])
  let said = 0
  for (const { receipt } of [first, second]) {
    const { checkpoint, leaf } = decodeReceipt(receipt)
    const times = leaf.statements.map(({ utc_ms }) => utc_ms)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    const { utcMs } = parseCheckpointBody(parseNote(checkpoint).body)
    expect(utcMs).toBeGreaterThanOrEqual(Math.max(said, ...times))
    said = utcMs
  }
})
