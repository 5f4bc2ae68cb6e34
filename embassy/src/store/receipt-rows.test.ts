// Receipts are made again from what the database has, and are those that were given out. Mutants: `size >= ?` in place of
// `>`, or no order by size, takes another checkpoint; without INSERT OR IGNORE a later checkpoint of the same leaves
// takes the place of theirs; without the look at the leaf's hash, or without `provenNodes`, what was altered is given out.
import { decodeReceipt } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { closingOf, LedgerWorld } from '../test-support/ledger-world.ts'

let world: LedgerWorld
/** By session, as they were given out: of batches of one to five. */
const given = new Map<string, string>()
beforeEach(async () => {
  given.clear()
  world = await LedgerWorld.make()
  await world.ledger.start()
  for (let batch = 1; batch <= 5; batch++) {
    const open = await Promise.all(Array.from({ length: batch }, () => world.open()))
    const closed = open.map(({ id, statements }) =>
      world.ledger.close(closingOf(id, statements, [1, 0])),
    )
    for (const { receipt } of await Promise.all(closed))
      given.set(decodeReceipt(receipt).leaf.session, receipt)
  }
})
afterEach(() => world.remove())

const kept = async () => {
  const sessions = [...given.keys()]
  const receipts = sessions.map((session) => world.store.runLazy('receipt', session))
  return new Map((await Promise.all(receipts)).map((receipt, i) => [sessions[i]!, receipt]))
}

test('each is what was given out, also after restart, reboot and pruning', async () => {
  await world.ledger.written()
  expect(await kept()).toEqual(given)
  // A step in which nothing ended makes a checkpoint of the same leaves.
  await expect(world.ledger.close(closingOf('ff'.repeat(16), [], [1, 0]))).rejects.toThrow(
    expect.objectContaining({ code: 'session.aborted' }),
  )
  await world.ledger.written()
  expect(await kept()).toEqual(given)
  await world.restart()
  await world.ledger.start()
  expect(await kept()).toEqual(given)
  await world.reboot()
  await world.ledger.start()
  expect(await kept()).toEqual(given)
  const [oldest, second, third] = given.keys()
  await world.alter(`UPDATE leaves SET closed_ms = 0 WHERE session IN ('${oldest}', '${second}')`)
  await world.ledger.start()
  await world.store.runLazy('prune', { beforeMs: 1, document: '', limit: 10 })
  const left = await kept()
  expect([left.get(oldest!), left.get(second!)]).toEqual([undefined, undefined])
  for (const session of [...given.keys()].slice(2))
    expect(left.get(session)).toBe(given.get(session))
  expect(third).toBeDefined()
})

test('one that waits for its checkpoint is none yet', async () => {
  const { id, statements } = await world.open()
  world.tpm.failAt = 2
  await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow()
  expect(await world.ledger.receipt(id)).toBeUndefined()
  world.tpm.failAt = Number.POSITIVE_INFINITY
  await world.use([1, 0])
  expect(decodeReceipt((await world.ledger.receipt(id))!).leaf.session).toBe(id)
})

test('one that is written late does not set the log back', async () => {
  await world.ledger.written()
  const newest = await world.store.runLazy('newestCheckpoint', world.origin)
  const [first] = given.values()
  const { checkpoint: note } = decodeReceipt(first!)
  await world.store.run('keepCheckpoint', { note, size: 2 })
  expect(await world.store.runLazy('newestCheckpoint', world.origin)).toEqual(newest)
  expect(await world.store.runLazy('unproven', undefined)).toBe(false)
})

test('checkpoints go with the last leaf that needs them, and no sooner', async () => {
  await world.ledger.written()
  const sizes = async () => {
    const all = await Promise.all([...given.keys()].map((id) => world.store.runLazy('receipt', id)))
    return new Set(
      all.filter((one) => one !== undefined).map((one) => decodeReceipt(one).checkpoint),
    ).size
  }
  const before = await sizes()
  const [oldest] = given.keys()
  await world.alter(`UPDATE leaves SET closed_ms = 0 WHERE session = '${oldest}'`)
  await world.ledger.start()
  const asked = { beforeMs: 1, document: '', limit: 10 }
  expect(await world.store.runLazy('prune', asked)).toMatchObject({ leaves: 1 })
  // The boot's, and that of the first batch, which was its alone.
  expect(await world.rows('SELECT 1 FROM checkpoints')).toHaveLength(before - 1)
  expect(await sizes()).toBe(before - 1)
})

describe('what was altered is not given out', () => {
  const damaged = expect.objectContaining({ code: 'log.damaged' })
  test.each([
    ['a leaf', `UPDATE leaves SET leaf = replace(leaf, 'noop', 'nope') WHERE idx = 1`],
    ['its hash', 'UPDATE nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 1'],
    ['the hash beside it', 'UPDATE nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 0'],
    [
      'the size of its checkpoint',
      'DELETE FROM checkpoints WHERE size = 3; UPDATE checkpoints SET size = 3 WHERE size = 2',
    ],
  ])('%s', async (_, sql) => {
    const [first] = given.keys()
    await world.alter(sql)
    await world.ledger.start()
    await expect(world.store.runLazy('receipt', first!)).rejects.toThrow(damaged)
  })
})
