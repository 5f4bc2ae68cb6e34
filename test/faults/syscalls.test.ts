// Ledger and store killed at their K-th system call, and started again on what is there; each process finds what the one
// killed before it left.
// K: every fsync, where one step ends on disk and the next begins; of write (to the TPM's socket, between the threads)
// and pwrite64 (pages of the database and its write-ahead log) every so many, until a process comes through unharmed.
// All of them: `npm run faults`.
// Mutants: without the roll-forward of chain or counter in `#settle` (embassy/src/ledger/ledger.ts) a start after a cut is
// refused; a receipt given out before its step is on disk has no leaf.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KilledLedger, POINTS, SESSIONS } from '../support/killed-ledger.ts'
import { type Lab, openLab } from '../support/software-tpm.ts'

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab?.close())

type Call = 'fsync' | 'pwrite64' | 'write'

async function killAll(ledger: KilledLedger, call: Call, stride: number): Promise<void> {
  let killed = 0
  for (let k = 1; !(await ledger.run(POINTS[call], k)); k += stride) {
    killed += 1
    await ledger.check()
  }
  await ledger.check()
  expect(killed).toBeGreaterThan(6)
  expect(ledger.receipts.length).toBeGreaterThanOrEqual(SESSIONS)
}

describe('killed at its K-th system call, and started again on what is there', () => {
  // On a log that begins, the calls that make the database come first, and are made again after each kill among them.
  test('fsync, where there is nothing yet', async () => {
    await killAll(await KilledLedger.make(lab, 'begins'), 'fsync', 1)
  })

  test.each<[Call, number]>([
    ['fsync', 1],
    ['write', 4],
    ['pwrite64', 9],
  ])('%s, on a log that goes on', async (call, stride) => {
    const ledger = await KilledLedger.make(lab, call)
    await ledger.runUnharmed()
    await killAll(ledger, call, stride)
  })
})
