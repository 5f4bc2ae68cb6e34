// The log as the store gives it out, held against protocol's own reading of it; and a database that was altered.
import {
  canonicalBytes,
  decodeReceipt,
  leafHash,
  openLogCheckpoint,
  parseCheckpointBody,
  parseNote,
  parseTilePath,
  parseTlogProof,
  sha256Hex,
  TileTree,
  toHex,
  utf8,
  verifyConsistency,
  verifyInclusion,
} from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LedgerWorld } from '../test-support/ledger-world.ts'

const damaged = expect.objectContaining({ code: 'log.damaged' })
let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
})
afterEach(() => world.remove())

const checkpoint = async () => (await world.store.runLazy('checkpoint', world.origin))!
const headOf = (note: string) => parseCheckpointBody(parseNote(note).body)
const source = async (path: string) => {
  const bytes = await world.store.runLazy('tile', {
    origin: world.origin,
    tile: parseTilePath(path)!,
  })
  if (!bytes) throw new Error(`no ${path}`)
  return bytes
}
/** Sessions until the log has this many leaves. */
async function grow(size: number): Promise<string[]> {
  const receipts: string[] = []
  while (receipts.length + 1 < size) {
    const some = Array.from({ length: Math.min(50, size - 1 - receipts.length) }, () =>
      world.use([1, 0]),
    )
    for (const { receipt } of await Promise.all(some)) receipts.push(receipt)
  }
  return receipts
}
/** Changes the database behind the embassy's back, as one who has the disk can. */
async function alter(sql: string): Promise<void> {
  await world.store.close()
  const db = new Sqlite(world.path)
  db.exec(sql)
  db.close()
  await world.restart().catch(() => {})
}

describe('the log of a boot', () => {
  test('has a checkpoint before its first session, over its boot leaf', async () => {
    const note = await checkpoint()
    expect(headOf(note)).toMatchObject({ origin: world.origin, size: 1 })
    const leaf = (await world.store.runLazy('bootLeaf', world.origin))!
    expect(await leafHash(utf8(leaf))).toEqual(headOf(note).root)
    expect(JSON.parse(leaf)).toMatchObject({ kind: 'boot', version: 1 })
  })

  test('is proven by its tiles to have only grown', async () => {
    const first = headOf(await checkpoint())
    await grow(9)
    const second = headOf(await checkpoint())
    const early = await TileTree.open(source, second)
    expect(await verifyConsistency(first, second, await early.consistency(1))).toBe(true)
    await grow(300)
    const third = headOf(await checkpoint())
    const tree = await TileTree.open(source, third)
    for (const old of [first, second])
      expect(await verifyConsistency(old, third, await tree.consistency(old.size))).toBe(true)
    const proof = await world.store.runLazy('consistency', {
      origin: world.origin,
      old: second.size,
      size: third.size,
    })
    expect(proof.map((hash) => Uint8Array.from(hash))).toEqual(await tree.consistency(second.size))
  })

  test('leads each receipt to the newest checkpoint', async () => {
    const receipts = await grow(40)
    const { root, size } = headOf(await checkpoint())
    for (const receipt of receipts) {
      const { leaf, index } = decodeReceipt(receipt)
      const proof = parseTlogProof((await world.store.runLazy('proof', leaf.session))!)
      expect(proof.index).toBe(index)
      expect(headOf(proof.checkpoint).size).toBe(size)
      const hash = await leafHash(canonicalBytes(leaf))
      expect(await verifyInclusion(root, hash, index, size, proof.path)).toBe(true)
    }
  })

  test('gives out no tile beyond its checkpoint, and none of another log', async () => {
    await grow(5)
    const has = (path: string, origin = world.origin) =>
      world.store.runLazy('tile', { origin, tile: parseTilePath(path)! })
    expect(await has('tile/0/000.p/5')).toHaveLength(5 * 32)
    expect(await has('tile/0/000.p/3')).toHaveLength(3 * 32)
    for (const path of ['tile/0/000.p/6', 'tile/0/000', 'tile/0/001.p/1', 'tile/1/000.p/1'])
      expect(await has(path)).toBeUndefined()
    expect(await has('tile/63/x999/999')).toBeUndefined()
    const other = 'sealed/ffffffffffffffff'
    expect(await has('tile/0/000.p/1', other)).toBeUndefined()
    expect(await world.store.runLazy('checkpoint', other)).toBeUndefined()
    expect(await world.store.runLazy('bootLeaf', other)).toBeUndefined()
    expect(await world.store.runLazy('proof', 'ab'.repeat(16))).toBeUndefined()
  })
})

describe('cosignatures', () => {
  const line = (name: string) => `— ${name} ${'A'.repeat(100)}\n`
  const keep = async (name: string, note: string) =>
    world.store.run('keepCosignature', { origin: world.origin, note, name, line: line(name) })
  const cosigned = async () => parseNote(await checkpoint()).signatures.map(({ name }) => name)

  test('stand under the checkpoint that they are for, and no other', async () => {
    const first = await checkpoint()
    await keep('w/b', first)
    await keep('w/a', first)
    await keep('w/a', first)
    expect(await cosigned()).toEqual([world.origin, 'w/a', 'w/b'])
    expect((await openLogCheckpoint(await checkpoint(), world.publicKey)).alone).toBe(first)
    await grow(3)
    expect(await cosigned()).toEqual([world.origin])
  })

  test('make the checkpoint that most have signed the one that proofs lead to', async () => {
    const [receipt] = await grow(2)
    const { session } = decodeReceipt(receipt!).leaf
    const sizes = async () => {
      const { checkpoint: note } = parseTlogProof((await world.store.runLazy('proof', session))!)
      return [headOf(note).size, parseNote(note).signatures.length]
    }
    const first = await checkpoint()
    await keep('w/a', first)
    await keep('w/b', first)
    await grow(3)
    expect(await sizes()).toEqual([2, 3])
    const second = await checkpoint()
    await keep('w/a', second)
    expect(await sizes()).toEqual([2, 3])
    await keep('w/b', second)
    expect(await sizes()).toEqual([4, 3])
    const [late] = await grow(2)
    const { leaf } = decodeReceipt(late!)
    const proof = parseTlogProof((await world.store.runLazy('proof', leaf.session))!)
    expect(parseNote(proof.checkpoint).signatures).toHaveLength(1)
  })

  test('survive a restart', async () => {
    await keep('w/a', await checkpoint())
    await world.restart()
    expect(await cosigned()).toEqual([world.origin, 'w/a'])
  })
})

describe('a database that was altered', () => {
  test('is found by the tile that is gone', async () => {
    const [receipt] = await grow(9)
    await alter('DELETE FROM nodes WHERE level = 0 AND idx = 4')
    await expect(source('tile/0/000.p/9')).rejects.toThrow(damaged)
    const { session } = decodeReceipt(receipt!).leaf
    await alter('DELETE FROM nodes WHERE level > 0')
    await expect(world.store.runLazy('proof', session)).rejects.toThrow(damaged)
    const proof = world.store.runLazy('consistency', { origin: world.origin, old: 2, size: 9 })
    await expect(proof).rejects.toThrow(damaged)
  })

  test('is not signed after: at its edge it ends the start, of this boot and of the next', async () => {
    await grow(9)
    await alter(`UPDATE nodes SET hash = zeroblob(32) WHERE level = 3 AND idx = 0`)
    await expect(world.ledger.start()).rejects.toThrow(damaged)
    await world.reboot()
    await expect(world.ledger.start()).rejects.toThrow(damaged)
    await alter('DELETE FROM nodes WHERE level = 3')
    await expect(world.ledger.start()).rejects.toThrow(damaged)
  })

  test('is found by whoever reads its tiles', async () => {
    await grow(9)
    const head = headOf(await checkpoint())
    await alter(`UPDATE nodes SET hash = x'${'00'.repeat(32)}' WHERE level = 0 AND idx = 4`)
    await expect(TileTree.open(source, head)).rejects.toThrow(damaged)
    await alter(`UPDATE nodes SET hash = x'00' WHERE level = 0 AND idx = 4`)
    await expect(source('tile/0/000.p/9')).rejects.toThrow(damaged)
  })
})

test('a new boot’s log names the last checkpoint of the one before', async () => {
  await grow(3)
  const last = await checkpoint()
  await world.store.run('keepCosignature', {
    origin: world.origin,
    note: last,
    name: 'w/a',
    line: `— w/a ${'A'.repeat(100)}\n`,
  })
  const { origin } = world
  const root = toHex(headOf(last).root)
  await world.reboot()
  await world.ledger.start()
  const leaf = JSON.parse((await world.store.runLazy('bootLeaf', world.origin))!)
  const checkpoint_digest = await sha256Hex(utf8(last))
  expect(leaf.previous).toEqual({ checkpoint_digest, origin, root, size: 3 })
  expect((await world.store.runLazy('checkpoint', origin))!.startsWith(last)).toBe(true)
})

test('what a power cut took the last checkpoint of is still the log that the next boot names', async () => {
  const early = await checkpoint()
  await grow(9)
  const late = headOf(await checkpoint())
  const { origin } = world
  await alter(`UPDATE logs SET note = '${early}'`)
  const tile = { origin, tile: parseTilePath('tile/0/000.p/9')! }
  expect(await world.store.runLazy('tile', tile)).toBeUndefined()
  await world.reboot()
  await world.ledger.start()
  const { previous } = JSON.parse((await world.store.runLazy('bootLeaf', world.origin))!)
  expect(previous).toMatchObject({ origin, size: 9, root: toHex(late.root) })
  expect(await world.store.runLazy('tile', tile)).toHaveLength(9 * 32)
})
