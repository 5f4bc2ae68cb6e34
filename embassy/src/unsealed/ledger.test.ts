// A log without a TPM: it is signed, it goes on over restarts and reboots, it says that it is counted by nobody; and its
// database never becomes that of a machine that seals, nor the other way round, restored from a backup or not.
//
// Mutants that turn this red: `ensureOneKind` left out of prepare-log.ts, or behind the look at a restored backup; its mark
// set whatever machine it is, or never; an absent TPM that answers before anything was begun, or that counts by itself.
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import {
  decodeReceipt,
  logOrigin,
  NO_TPM,
  openCheckpoint,
  randomBytes,
  type Statement,
} from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ledgerKey } from '../keys/ledger-key.ts'
import { FileFlag } from '../ledger/flag.ts'
import { Ledger } from '../ledger/ledger.ts'
import { type Draft, extend } from '../store/stamp.ts'
import { Store } from '../store/store.ts'
import { LedgerWorld, OPENING } from '../test-support/ledger-world.ts'
import { absentTpm } from './absent-tpm.ts'

const DIGEST = 'ab'.repeat(32)
const A = 'a'.repeat(32)
let world: LedgerWorld
beforeEach(async () => {
  world = await LedgerWorld.make()
  await world.stop()
})
afterEach(() => world.remove())

/** One boot of an embassy that cannot seal, on the world's database. */
class Boot {
  readonly key = ledgerKey(generateKeyPairSync('ed25519').privateKey)
  readonly k = randomBytes(32)
  readonly fatal: Error[] = []
  store!: Store
  ledger!: Ledger

  /** As after a start of the process. */
  async start(): Promise<this> {
    this.store = new Store(world.path)
    this.ledger = new Ledger({
      store: this.store,
      tpm: absentTpm(() => this.store.runLazy('anchors', undefined)),
      key: this.key,
      keySetDigest: this.k,
      boot: { origin: logOrigin(this.k), akName: NO_TPM, resetCount: 0, restartCount: 0 },
      begun: new FileFlag(join(world.directory, `begun-${logOrigin(this.k).slice(7)}`)),
      restored: new FileFlag(`${world.path}.restored`),
      onFatal: (error) => void this.fatal.push(error),
    })
    await this.ledger.start().catch(async (error: unknown) => {
      await this.stop()
      throw error
    })
    return this
  }

  async stop(): Promise<void> {
    await this.ledger.stop()
    await this.store.close()
  }

  /** A reading, the shortest session there is. */
  async read() {
    const absent: Draft = { type: 'tpm.absent' }
    const statements: Statement[] = extend([], [{ ...OPENING[0]!, operation: 'read' }, absent])
    const id = Buffer.from(randomBytes(16)).toString('hex')
    await this.ledger.open({ id, statements, document: DIGEST })
    const end = { kind: 'read', authority: A, salt: new Uint8Array(32) } as const
    const closed = await this.ledger.close({ session: id, statements, end })
    const receipt = decodeReceipt(closed.receipt)
    const opened = await openCheckpoint(receipt.checkpoint, this.key.publicKey)
    return { receipt, ...opened }
  }
}

describe('a log without a TPM', () => {
  test('has receipts without a quote, whose checkpoints say that there is no TPM', async () => {
    const boot = await new Boot().start()
    const { body, checkpoint, receipt } = await boot.read()
    expect('quote' in receipt).toBe(false)
    expect(body).toMatch(/\nboot absent\n$/)
    expect(checkpoint).toMatchObject({ akName: NO_TPM, resetCount: 0, restartCount: 0, size: 2 })
    await boot.ledger.check()
    await boot.stop()
    expect(boot.fatal).toEqual([])
  })

  test('goes on over a restart, counting up, and in a new log over a reboot', async () => {
    const boot = await new Boot().start()
    const first = await boot.read()
    await boot.stop()
    await boot.start()
    const second = await boot.read()
    await boot.stop()
    expect(second.checkpoint.size).toBe(first.checkpoint.size + 1)
    expect(second.checkpoint.counter).toBeGreaterThan(first.checkpoint.counter)
    const next = await new Boot().start()
    const third = await next.read()
    await next.stop()
    expect(third.checkpoint.origin).not.toBe(first.checkpoint.origin)
    expect(third.checkpoint).toMatchObject({ size: 2 })
  })
})

const refused = (what: string) =>
  expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining(what) })

describe('a database', () => {
  test('of a machine that seals is not gone on with where nothing is sealed', async () => {
    await world.restart()
    await world.ledger.start()
    await world.use([1, 0], `${A}/x`)
    await world.stop()
    await expect(new Boot().start()).rejects.toEqual(refused('that of a machine that seals'))
    // It was not changed: its own machine goes on.
    await world.restart()
    await world.ledger.start()
    expect(await world.meter(`${A}/x`)).toBe(0)
  })

  test.each(['as it is', 'as a restored backup'])(
    'of a machine that cannot seal is not gone on with by one that does, %s',
    async (how) => {
      const boot = await new Boot().start()
      await boot.read()
      await boot.stop()
      if (how !== 'as it is') await new FileFlag(`${world.path}.restored`).set()
      await world.restart()
      await expect(world.ledger.start()).rejects.toEqual(
        refused('that of a machine that cannot seal'),
      )
    },
  )
})

test('an absent TPM has nothing to read before it is begun, and then what the database says', async () => {
  let recalled: { counter: bigint; chain: Uint8Array } | undefined
  const tpm = absentTpm(async () => recalled)
  await expect(tpm.counter.read(1)).rejects.toThrow('no TPM')
  await expect(tpm.readNv(1)).rejects.toThrow('no TPM')
  await tpm.counter.define(1)
  await tpm.defineExtendNv(1)
  expect([await tpm.counter.read(1), await tpm.readNv(1)]).toEqual([0n, new Uint8Array(32)])
  recalled = { counter: 7n, chain: new Uint8Array(32).fill(9) }
  await tpm.counter.increment(1)
  await tpm.extendNv(1, new Uint8Array(8))
  expect([await tpm.counter.read(1), await tpm.readNv(1)]).toEqual([7n, recalled.chain])
  expect(await tpm.quote(new Uint8Array(32), [14])).toBeUndefined()
})
