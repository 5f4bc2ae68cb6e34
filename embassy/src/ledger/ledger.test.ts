// Mutants: without comparing the chain in #settle, a database from before a begun session is taken; without `dropped`, an
// opening that the TPM never took stays open; without `check`, a moved counter or chain goes unnoticed until a restart.
import { readFile, writeFile } from 'node:fs/promises'
import {
  canonicalBytes,
  decodeReceipt,
  fromBase64url,
  leafHash,
  parseCheckpointBody,
  splitNote,
  verifyInclusion,
} from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { closingOf, LedgerWorld } from '../test-support/ledger-world.ts'

const A = 'a'.repeat(32)
let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
})
afterEach(() => world.remove())

async function proven(encoded: string): Promise<number> {
  const { checkpoint, index, leaf, path } = decodeReceipt(encoded)
  const { root, size } = parseCheckpointBody(splitNote(checkpoint).body)
  const hash = await leafHash(canonicalBytes(leaf))
  expect(await verifyInclusion(root, hash, index, size, path.map(fromBase64url))).toBe(true)
  return size
}

describe('closing', () => {
  test('many at once share checkpoints, and every receipt is proven', async () => {
    await world.ledger.start()
    const open = await Promise.all(Array.from({ length: 50 }, () => world.open()))
    const closed = await Promise.all(
      open.map(({ id, statements }) => world.ledger.close(closingOf(id, statements, [1, 0]))),
    )
    for (const { receipt } of closed) await proven(receipt)
    expect(world.tpm.quotes).toBeLessThan(10)
  })

  test('of one session happens once: a second is refused and no meter moves again', async () => {
    await world.ledger.start()
    await world.use([1, 0], `${A}/x`)
    const { id, statements } = await world.open()
    await world.ledger.close(closingOf(id, statements, [1, 0]))
    await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow(
      expect.objectContaining({ code: 'session.aborted' }),
    )
    expect(await world.meter(`${A}/x`)).toBe(1_000_000)
  })

  test('one that is refused does not take the others of its batch with it', async () => {
    await world.ledger.start()
    const [good, bad] = [await world.open(), { id: 'ff'.repeat(16), statements: [] }]
    const results = await Promise.allSettled(
      [bad, good].map(({ id, statements }) =>
        world.ledger.close(closingOf(id, statements, [1, 0])),
      ),
    )
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })

  test('meters equal the sum over 200 sessions at once', async () => {
    await world.ledger.start()
    await world.use([3, 4], `${A}/x`)
    const open = await Promise.all(Array.from({ length: 200 }, () => world.open()))
    await Promise.all(
      open.map(({ id, statements }) => world.ledger.close(closingOf(id, statements, [4, 3]))),
    )
    expect(await world.meter(`${A}/x`)).toBe(200 * 960_000)
  })
})

describe('a TPM that fails', () => {
  test('at any call of a checkpoint loses no leaf and counts nothing twice', async () => {
    await world.ledger.start()
    await world.use([1, 0], `${A}/x`)
    for (let k = 0; k < 3; k++) {
      const { id, statements } = await world.open()
      world.tpm.failAt = k
      await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow(
        'told to fail',
      )
      world.tpm.failAt = Number.POSITIVE_INFINITY
      // The next checkpoint proves the leaf that was left.
      await world.use([0, 1])
      await proven((await world.ledger.receipt(id))!)
      expect(await world.meter(`${A}/x`)).toBe((k + 1) * 1_000_000)
    }
    expect(world.fatal).toEqual([])
  })

  test('that was reset behind the embassy ends everything', async () => {
    await world.ledger.start()
    world.tpm.resetCount += 1
    await expect(world.use([1, 0])).rejects.toThrow(
      expect.objectContaining({ code: 'boot.key_lost' }),
    )
    expect(world.fatal.map(({ code }) => code)).toEqual(['boot.key_lost'])
  })

  test.each([
    ['counter', () => world.tpm.counter.increment()],
    ['chain', () => world.tpm.extendNv(0, new Uint8Array(32))],
  ])('whose %s is moved by somebody else ends everything', async (_, move) => {
    await world.ledger.start()
    await world.use([1, 0])
    await world.ledger.check()
    expect(world.fatal).toEqual([])
    await move()
    await world.ledger.check()
    expect(world.fatal.map(({ code }) => code)).toEqual(['state.rollback'])
  })

  test('before an opening is in its chain: nothing is revealed and nothing stays open', async () => {
    await world.ledger.start()
    world.tpm.failAt = 0
    await expect(world.open()).rejects.toThrow(
      expect.objectContaining({ code: 'embassy.unavailable' }),
    )
    world.tpm.failAt = Number.POSITIVE_INFINITY
    await world.use([1, 0])
    expect(await world.store.run('openSessions', undefined)).toEqual([])
  })
})

describe('starting again', () => {
  const rollback = expect.objectContaining({ code: 'state.rollback' })
  test('proves what was left unproven', async () => {
    await world.ledger.start()
    const { id, statements } = await world.open()
    world.tpm.failAt = 2
    await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow(
      'told to fail',
    )
    world.tpm.failAt = Number.POSITIVE_INFINITY
    await world.restart()
    await world.ledger.start()
    await proven((await world.ledger.receipt(id))!)
  })

  test('rolls an intent forward that the TPM had not counted', async () => {
    await world.ledger.start()
    const { id, statements } = await world.open()
    world.tpm.failAt = 0
    await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow(
      'told to fail',
    )
    world.tpm.failAt = Number.POSITIVE_INFINITY
    await world.restart()
    await world.ledger.start()
    await proven((await world.use([1, 0])).receipt)
  })

  test.each([
    ['ahead of the database', 1n],
    ['two behind it', -2n],
  ])('is refused when the TPM is %s', async (_, by) => {
    await world.ledger.start()
    for (let i = 0; i < 3; i++) await world.use([1, 0])
    world.tpm.value! += by
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(rollback)
  })

  test('is refused with a new database and a TPM that has counted', async () => {
    world.tpm.value = 7n
    await expect(world.ledger.start()).rejects.toThrow(rollback)
  })

  test('is refused with a database from before a session that was only begun', async () => {
    await world.ledger.start()
    await world.stop()
    const before = await readFile(world.path)
    await world.restart()
    await world.ledger.start()
    await world.open()
    await world.stop()
    await writeFile(world.path, before)
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(rollback)
  })

  test('rolls a begun session forward that the TPM had not taken', async () => {
    await world.ledger.start()
    world.tpm.failAt = 0
    await expect(world.open()).rejects.toThrow()
    world.tpm.failAt = Number.POSITIVE_INFINITY
    await world.restart()
    await world.ledger.start()
    expect(await world.store.run('openSessions', undefined)).toEqual([])
    await proven((await world.use([1, 0])).receipt)
  })

  test('is refused when meters were edited behind its back', async () => {
    await world.ledger.start()
    await world.use([1, 0], `${A}/x`)
    await world.use([1, 0])
    await world.stop()
    const db = new Sqlite(world.path)
    db.prepare('UPDATE meters SET millionths = 0').run()
    db.close()
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(rollback)
  })

  test('is refused when a signature was edited behind its back', async () => {
    await world.ledger.start()
    await world.use([1, 0], `${A}/x`)
    await world.stop()
    const db = new Sqlite(world.path)
    db.prepare('UPDATE signatures SET vector = ?').run(Buffer.alloc(8))
    db.close()
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(rollback)
  })
})
