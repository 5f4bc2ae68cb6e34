// Mutants: `closed_ms < ?` left out deletes what is young; `session IS NOT NULL` left out of the query (and the index)
// deletes the boot leaf; a prune that deletes nodes breaks every proof; without the look at `leaves`, or at `digest`, a
// document goes that is needed; without `proven` a leaf goes that waits for its receipt; with `<` in place of `<=` a checkpoint stays that nobody
// needs; without the bound one goes that a receipt needs.
import {
  canonicalBytes,
  decodeReceipt,
  fromBase64url,
  leafHash,
  parseCheckpointBody,
  parseNote,
  TileTree,
  verifyConsistency,
  verifyInclusion,
} from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closingOf, LedgerWorld } from '../test-support/ledger-world.ts'
import { Retention } from './retention.ts'

const DAY_MS = 86_400_000
const A = 'a'.repeat(32)
const DOCUMENT = 'ab'.repeat(32)
let world: LedgerWorld
const logged: Record<string, unknown>[] = []
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
  logged.length = 0
})
afterEach(() => world.remove())

/** Prunes as it would be done so many days from now. */
const pruneIn = (days: number, document = 'ff'.repeat(32)) =>
  new Retention({
    store: world.store,
    days: 400,
    document: () => document,
    log: (_, fields) => logged.push(fields),
    now: () => Date.now() + days * DAY_MS,
  }).run()
const has = async (session: string) => (await world.store.runLazy('receipt', session)) !== undefined
const sessionOf = (receipt: string) => decodeReceipt(receipt).leaf.session

test('nothing is deleted before its time', async () => {
  const { receipt } = await world.use([1, 0])
  await world.store.run('keepDocument', { digest: DOCUMENT, document: '{}' })
  await pruneIn(399)
  expect(await has(sessionOf(receipt))).toBe(true)
  expect(await world.store.runLazy('document', DOCUMENT)).toBe('{}')
  expect(logged).toEqual([])
})

test('receipts and leaf texts go, in batches; log, meters and what others kept go on', async () => {
  await world.use([1, 0], `${A}/x`)
  const receipts = await Promise.all(Array.from({ length: 120 }, () => world.use([1, 0])))
  const note = (await world.store.runLazy('checkpoint', world.origin))!
  const first = parseCheckpointBody(parseNote(note).body)
  await pruneIn(401)
  expect(logged).toEqual([{ documents: 0, leaves: 121 }])
  const session = sessionOf(receipts[7]!.receipt)
  expect(await has(session)).toBe(false)
  expect(await world.store.runLazy('proof', session)).toBeUndefined()
  expect(await world.store.runLazy('pruned', session)).toBe(true)
  expect(await world.store.runLazy('pruned', 'ab'.repeat(16))).toBe(false)
  expect(await world.store.runLazy('bootLeaf', world.origin)).toBeDefined()

  await world.restart()
  await world.ledger.start()
  await world.use([1, 0])
  expect(await world.meter(`${A}/x`)).toBe(121_000_000)
  const now = parseCheckpointBody(
    parseNote((await world.store.runLazy('checkpoint', world.origin))!).body,
  )
  const { origin } = world
  const level = (path: string) => /^tile\/(\d+)\/(?:x\d{3}\/)*(\d{3})(?:\.p\/(\d+))?$/.exec(path)!
  const tree = await TileTree.open(async (path) => {
    const [, of, index, width] = level(path)
    const tile = { level: Number(of), index: Number(index), width: Number(width ?? 256) }
    return (await world.store.runLazy('tile', { origin, tile }))!
  }, now)
  expect(await verifyConsistency(first, now, await tree.consistency(first.size))).toBe(true)
  for (const { receipt } of receipts) {
    const { checkpoint, index, leaf, path } = decodeReceipt(receipt)
    const { root, size } = parseCheckpointBody(parseNote(checkpoint).body)
    const hash = await leafHash(canonicalBytes(leaf))
    expect(await verifyInclusion(root, hash, index, size, path.map(fromBase64url))).toBe(true)
    expect(
      await verifyInclusion(now.root, hash, index, now.size, await tree.inclusion(index)),
    ).toBe(true)
  }
})

test('a document stays while it is in use, or while a receipt, a leaf or an open session names it', async () => {
  const keep = (digest: string) => world.store.run('keepDocument', { digest, document: '{}' })
  const [current, idle] = ['cc'.repeat(32), 'dd'.repeat(32)]
  for (const digest of [DOCUMENT, current, idle]) await keep(digest)
  const there = async () => {
    const asked = [DOCUMENT, current, idle].map((one) => world.store.runLazy('document', one))
    return (await Promise.all(asked)).map((text) => text !== undefined)
  }
  const { id, statements } = await world.open()
  await pruneIn(401, current)
  expect(await there()).toEqual([true, true, false])
  await world.ledger.close(closingOf(id, statements, [1, 0]))
  await world.ledger.written()
  // The document is old, the leaf that names it is not.
  await world.alter('UPDATE documents SET kept_ms = 0')
  await world.ledger.start()
  const asked = { beforeMs: 1, document: current, limit: 10 }
  await world.store.runLazy('prune', asked)
  expect(await there()).toEqual([true, true, false])
  await pruneIn(401, current)
  expect(await there()).toEqual([false, true, false])
})

test('a leaf that waits for its receipt is not deleted, however old; one of a dead boot is', async () => {
  const { id, statements } = await world.open()
  world.tpm.failAt = 2
  await expect(world.ledger.close(closingOf(id, statements, [1, 0]))).rejects.toThrow(
    'told to fail',
  )
  world.tpm.failAt = Number.POSITIVE_INFINITY
  await pruneIn(401)
  expect(logged).toEqual([])
  await world.use([0, 1])
  expect(await has(id)).toBe(true)

  const other = await world.open()
  world.tpm.failAt = 2
  await expect(world.ledger.close(closingOf(other.id, other.statements, [1, 0]))).rejects.toThrow()
  world.tpm.failAt = Number.POSITIVE_INFINITY
  await world.reboot()
  await world.ledger.start()
  await pruneIn(401)
  expect(logged).toEqual([{ documents: 0, leaves: 3 }])
})

test('one that is stopped ends between two batches', async () => {
  for (let i = 0; i < 3; i++) await world.use([1, 0])
  const asked = { beforeMs: Date.now() + DAY_MS, document: 'x', limit: 2 }
  expect(await world.store.runLazy('prune', asked)).toEqual({ leaves: 2, documents: 0, more: true })
  // Of four checkpoints, the boot's among them, two go with each batch.
  expect(await world.store.runLazy('prune', asked)).toMatchObject({ leaves: 1, more: true })
  expect(await world.store.runLazy('prune', asked)).toMatchObject({ leaves: 0, more: false })
})
