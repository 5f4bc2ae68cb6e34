// A backup that is restored, on a TPM that has counted on.
// Mutants, each of which turns a test here red: in prepare-log.ts `isRestored` taken for true (set back without a marker
// is taken), the look at `begun` left out (two logs of one name), a marker beside a new database let through; `gap` or
// `rollbacks` left out in operations.ts; `restored.clear` left out (the next boot states a gap again).
import { readFile, writeFile } from 'node:fs/promises'
import { parseBootLeaf, utf8 } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LedgerWorld } from '../test-support/ledger-world.ts'
import { FileFlag } from './flag.ts'

const A = 'a'.repeat(32)
let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.ledger.start()
  await world.use([1, 0], `${A}/x`)
  await world.use([1, 0])
})
afterEach(() => world.remove())

const rollback = (message: string) =>
  expect.objectContaining({
    code: 'state.rollback',
    message: expect.stringContaining(message),
  })
const bootLeaf = async () =>
  parseBootLeaf(utf8((await world.store.runLazy('bootLeaf', world.origin))!))
const marker = () => new FileFlag(`${world.path}.restored`)
/** Copies the database as it is now; what is returned puts it back, as `sealed restore` does. */
async function backUp(): Promise<(marked?: boolean) => Promise<void>> {
  await world.stop()
  const bytes = await readFile(world.path)
  await world.restart()
  await world.ledger.start()
  return async (marked = true) => {
    await world.stop()
    await writeFile(world.path, bytes)
    if (marked) await marker().set()
  }
}
describe('a backup that is restored', () => {
  test('goes on in a new, linked log that states the gap, with one rollback in every reading', async () => {
    const restore = await backUp()
    const kept = await world.use([1, 0])
    const first = world.origin
    const counted = world.tpm.value!
    await restore()
    await world.reboot()
    await world.ledger.start()
    const leaf = await bootLeaf()
    expect(leaf.gap).toEqual({
      counter_database: String(counted - 1n),
      counter_tpm: String(counted),
    })
    expect(leaf.previous).toMatchObject({ origin: first, size: 3 })
    const { coverage, meters } = await world.read(A)
    expect(coverage).toMatchObject({ boots: 2, rollbacks: 1 })
    expect(meters[0]!.millionths).toBe(1_000_000)
    expect(kept.receipt).toBeDefined()

    // It is an ordinary database from now on.
    expect(await marker().isSet()).toBe(false)
    await world.reboot()
    await world.ledger.start()
    expect((await bootLeaf()).gap).toBeUndefined()
    expect((await world.read(A)).coverage).toMatchObject({ boots: 3, rollbacks: 1 })
  })

  test('works on a machine whose TPM never counted for it', async () => {
    const restore = await backUp()
    const counted = world.tpm.value!
    await restore()
    world.tpm.value = undefined
    world.tpm.chain = new Uint8Array(32)
    await world.reboot()
    await world.ledger.start()
    expect((await bootLeaf()).gap).toEqual({
      counter_database: String(counted),
      counter_tpm: '1',
    })
    expect(await world.meter(`${A}/x`)).toBe(1_000_000)
  })

  test('is refused without the marker', async () => {
    const restore = await backUp()
    await world.use([1, 0])
    await restore(false)
    await world.reboot()
    await expect(world.ledger.start()).rejects.toThrow(rollback('not at the database’s last step'))
  })

  test('is refused in the boot whose log it holds, also where only a session was begun since', async () => {
    const restore = await backUp()
    await world.open()
    await restore()
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(rollback('restart the machine'))
  })

  test('is refused in a boot that has begun a log which it does not hold', async () => {
    const restore = await backUp()
    await world.reboot()
    await world.ledger.start()
    await restore()
    await world.restart()
    await expect(world.ledger.start()).rejects.toThrow(rollback('restart the machine'))
    await world.reboot()
    await world.ledger.start()
    expect((await bootLeaf()).gap).toBeDefined()
  })

  test('that lost nothing says so', async () => {
    const restore = await backUp()
    await restore()
    await world.reboot()
    await world.ledger.start()
    const { counter_database, counter_tpm } = (await bootLeaf()).gap!
    expect(counter_database).toBe(counter_tpm)
  })

  test.each([0, 1, 2, 3, 4, 5])(
    'begins its log once, when the TPM fails at call %i of it',
    async (k) => {
      const restore = await backUp()
      await world.use([1, 0])
      await restore()
      await world.reboot()
      world.tpm.failAt = k
      await world.ledger.start().catch(() => {})
      world.tpm.failAt = Number.POSITIVE_INFINITY
      await world.restart()
      await world.ledger.start()
      const { gap, previous } = await bootLeaf()
      expect([gap !== undefined, previous?.size]).toEqual([true, 3])
      expect((await world.read(A)).coverage).toMatchObject({ boots: 2, rollbacks: 1 })
      expect(await marker().isSet()).toBe(false)
    },
  )

  test('whose meters were edited is refused', async () => {
    const restore = await backUp()
    await restore()
    await world.reboot()
    await world.alter('UPDATE meters SET millionths = 1')
    await expect(world.ledger.start()).rejects.toThrow(rollback('meters'))
  })
})

test('a marker beside a new database starts nothing', async () => {
  const other = await LedgerWorld.make()
  try {
    await new FileFlag(`${other.path}.restored`).set()
    await expect(other.ledger.start()).rejects.toThrow(rollback('a backup was to be restored here'))
  } finally {
    await other.remove()
  }
})
