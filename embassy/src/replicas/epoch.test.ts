// Who is beside whom in an epoch, and when it ends. Mutants: `beside` of those that are there not counted, or callers
// not shared; `drain` called twice; the idle timer not cleared by a join.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Epoch } from './epoch.ts'

const reading = { ruleset_digest: 'ab', dropped_packets: 0, rejected_packets: 0 }
const drained = vi.fn()
const of = { generation: 2, image: 'cd', policy: 'epoch', replica: 1 }
const epoch = (maxMs = 10_000) =>
  new Epoch({ seal: async () => reading, of, maxMs, idleMs: 1_000, onDrain: drained })

beforeEach(() => {
  drained.mockReset()
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

describe('the company of a session', () => {
  test('is nobody where it is alone', () => {
    const one = epoch()
    one.join('a', 'x')
    expect(one.companyOf('a')).toEqual({ sessions_overlapping: 0, tenants: 1 })
  })

  test('is those that were there when it came, those that came since, and those that have left', () => {
    const one = epoch()
    one.join('a', 'x')
    one.join('b', 'y')
    one.leave('b')
    one.join('c', 'x')
    one.join('d', 'z')
    expect(one.companyOf('a')).toEqual({ sessions_overlapping: 3, tenants: 3 })
    expect(one.companyOf('c')).toEqual({ sessions_overlapping: 2, tenants: 2 })
    expect(one.companyOf('d')).toEqual({ sessions_overlapping: 2, tenants: 2 })
  })

  test('counts a caller’s own other sessions as sessions, not as tenants', () => {
    const one = epoch()
    one.join('a', 'x')
    one.join('b', 'x')
    expect(one.companyOf('a')).toEqual({ sessions_overlapping: 1, tenants: 1 })
  })
})

describe('an epoch is drained', () => {
  test('when its time is over, whoever is in it, once', () => {
    const one = epoch(10_000)
    one.join('a', 'x')
    vi.advanceTimersByTime(9_999)
    expect(one.isDraining).toBe(false)
    vi.advanceTimersByTime(1)
    expect(one.isDraining).toBe(true)
    one.drain()
    one.leave('a')
    vi.advanceTimersByTime(60_000)
    expect(drained).toHaveBeenCalledTimes(1)
  })

  test('a while after the last has left, unless somebody comes', () => {
    const one = epoch(60_000)
    one.join('a', 'x')
    one.leave('a')
    vi.advanceTimersByTime(900)
    one.join('b', 'x')
    vi.advanceTimersByTime(10_000)
    expect(drained).not.toHaveBeenCalled()
    one.leave('b')
    vi.advanceTimersByTime(1_000)
    expect(drained).toHaveBeenCalledTimes(1)
  })

  test('not after it was stopped', () => {
    const one = epoch()
    one.join('a', 'x')
    one.leave('a')
    one.stop()
    vi.advanceTimersByTime(60_000)
    expect(drained).not.toHaveBeenCalled()
  })
})

test('of those that have left the latest are remembered', () => {
  const one = epoch()
  one.join('stays', 'x')
  for (let i = 0; i < 5_000; i++) {
    one.join(`s${i}`, 'x')
    one.leave(`s${i}`)
  }
  expect(one.size).toBe(1)
  expect([...one.ended]).toEqual(Array.from({ length: 4_096 }, (_, i) => `s${i + 904}`))
})

test('the last reading is the newest, with its time', async () => {
  const one = epoch()
  await one.sealed
  const later = { ...reading, dropped_packets: 1 }
  one.wasRead(later, 7n)
  expect(one.last).toEqual({ reading: later, readUs: 7n })
})
