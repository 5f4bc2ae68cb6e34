// Mutants: any failure, or none, ends it; it writes while the ledger is not able.
import { SealedError } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { insist } from './insist.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('what fails is written again, once the ledger is able', async () => {
  const ledger = { able: true }
  const write = vi.fn(async () => {})
  write.mockImplementationOnce(async () => {
    ledger.able = false
    throw new SealedError('disk.full', 'told to fail')
  })
  const done = insist(ledger, write)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(write).toHaveBeenCalledTimes(1)
  ledger.able = true
  await vi.advanceTimersByTimeAsync(1_000)
  await done
  expect(write).toHaveBeenCalledTimes(2)
})

test('what was closed before is not written again', async () => {
  const write = vi.fn(() => Promise.reject(new SealedError('session.aborted', 'closed before')))
  await insist({ able: true }, write)
  expect(write).toHaveBeenCalledTimes(1)
})
