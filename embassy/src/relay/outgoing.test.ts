// Mutants: no timer armed in `#wanted`; the timer not cleared in `#pull`; `gone` called whatever was written; the queue
// emptied at `end`.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Outgoing } from './outgoing.ts'

const SLOW_MS = 1_000
let left: number
let outgoing: Outgoing
beforeEach(() => {
  vi.useFakeTimers()
  left = 0
  outgoing = new Outgoing(() => left++, SLOW_MS)
})
afterEach(() => vi.useRealTimers())

const bytes = (...values: number[]) => Uint8Array.from(values)
const rest = async (reader: ReadableStreamDefaultReader<Uint8Array>) => {
  const got: number[] = []
  for (let next = await reader.read(); !next.done; next = await reader.read())
    got.push(...next.value)
  return got
}

describe('an answer on its way', () => {
  it('comes whole and in order, written before it is read or after', async () => {
    outgoing.write(bytes(1))
    outgoing.write(bytes(2))
    const reader = outgoing.readable.getReader()
    const all = rest(reader)
    await vi.advanceTimersByTimeAsync(1)
    outgoing.write(bytes(3))
    outgoing.end()
    expect(await all).toEqual([1, 2, 3])
    expect(left).toBe(0)
  })

  it('waits for a reader that is slow, also after its end was written', async () => {
    for (const value of [1, 2, 3]) outgoing.write(bytes(value))
    outgoing.end()
    const reader = outgoing.readable.getReader()
    for (const value of [1, 2, 3]) {
      await vi.advanceTimersByTimeAsync(SLOW_MS - 1)
      expect((await reader.read()).value).toEqual(bytes(value))
    }
    expect((await reader.read()).done).toBe(true)
    expect(left).toBe(0)
  })

  it('is an error for a reader that does not read, never a shorter answer', async () => {
    outgoing.write(bytes(1))
    const reader = outgoing.readable.getReader()
    await reader.read()
    outgoing.write(bytes(2))
    await vi.advanceTimersByTimeAsync(SLOW_MS)
    await expect(reader.read()).rejects.toMatchObject({ code: 'session.aborted' })
    expect(left).toBe(1)
    outgoing.write(bytes(3))
    outgoing.end()
    expect(left).toBe(1)
  })

  it('is waited for as long as nothing was written', async () => {
    const reader = outgoing.readable.getReader()
    const first = reader.read()
    await vi.advanceTimersByTimeAsync(10 * SLOW_MS)
    outgoing.write(bytes(1))
    expect((await first).value).toEqual(bytes(1))
    expect(left).toBe(0)
  })

  it('says once that its reader left, and nothing where all had been written', async () => {
    const reader = outgoing.readable.getReader()
    const first = reader.read()
    await reader.cancel()
    await first
    expect(left).toBe(1)
    const other = new Outgoing(() => left++, SLOW_MS)
    other.write(bytes(1))
    other.end()
    await other.readable.cancel()
    expect(left).toBe(1)
  })
})
