// Ledger and store killed at their K-th system call, and started again on what is there; each process finds what the one
// killed before it left.
// K: every fsync, where one step ends on disk and the next begins; of write (to the TPM's socket, between the threads)
// and pwrite64 (pages of the database and its write-ahead log) every so many, until a process comes through unharmed.
// All of them: `npm run faults`.
// Mutants: without the roll-forward in `#settle` (embassy/src/ledger/ledger.ts) a start after a cut is refused; a receipt
// given out before its step is on disk has no leaf.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KilledLedger, POINTS, SESSIONS } from '../support/killed-ledger.ts'
import { type Lab, openLab } from '../support/software-tpm.ts'

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab?.close())

describe('killed at its K-th system call, and started again on what is there', () => {
  test.each([
    ['fsync', 1],
    ['write', 5],
    ['pwrite64', 13],
  ] as const)('%s', async (call, stride) => {
    const ledger = await KilledLedger.make(lab, call)
    let killed = 0
    for (let k = 1; !(await ledger.run(POINTS[call], k)); k += stride) {
      killed += 1
      await ledger.check()
    }
    await ledger.check()
    expect(killed).toBeGreaterThan(6)
    expect(ledger.receipts.length).toBeGreaterThanOrEqual(SESSIONS)
  })
})
