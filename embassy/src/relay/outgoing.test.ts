// Mutants: no timer armed in `send`; `#expectProgress` not armed again after progress; cut off although all was taken;
// `signal` aborted whatever was sent; a write after the end, or on a closed connection.
import { RelayFrameReader } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Outgoing, type Sink } from './outgoing.ts'

const SLOW_MS = 1_000

/** A connection whose other side takes what it is told to take. */
class SlowSink implements Sink {
  bytesWritten = 0
  writableLength = 0
  destroyed = false
  readonly written: Uint8Array[] = []

  write(bytes: Uint8Array): void {
    this.written.push(bytes)
    this.bytesWritten += bytes.length
    this.writableLength += bytes.length
  }
  take(bytes = this.writableLength): void {
    this.writableLength -= bytes
  }
  destroy(): void {
    this.destroyed = true
    outgoing.left()
  }
}

let sink: SlowSink
let outgoing: Outgoing
beforeEach(() => {
  vi.useFakeTimers()
  sink = new SlowSink()
  outgoing = new Outgoing(sink, SLOW_MS)
})
afterEach(() => vi.useRealTimers())

const piece = (value: number) => ['data', Uint8Array.of(value)] as const
const sent = () => {
  const reader = new RelayFrameReader()
  return sink.written
    .flatMap((bytes) => reader.push(bytes))
    .map(({ type, bytes }) => [type, ...bytes])
}

describe('an answer on its way', () => {
  it('is written whole and in order, and nothing after its end', () => {
    outgoing.send(piece(1), piece(2))
    outgoing.send(piece(3))
    outgoing.end(['final', Uint8Array.of(4)])
    outgoing.send(piece(5))
    outgoing.end(['final', Uint8Array.of(6)])
    expect(sent()).toEqual([
      ['data', 1],
      ['data', 2],
      ['data', 3],
      ['final', 4],
    ])
  })

  it('is not written to a connection that is closed', () => {
    sink.destroyed = true
    outgoing.send(piece(1))
    expect(sink.written).toEqual([])
  })

  it('waits for a reader that is slow, also after its end was sent', async () => {
    outgoing.send(piece(1))
    outgoing.send(piece(2))
    outgoing.end(piece(3))
    for (let i = 0; i < 18; i++) {
      await vi.advanceTimersByTimeAsync(SLOW_MS - 1)
      sink.take(1)
    }
    expect(outgoing.drained).toBe(true)
    await vi.advanceTimersByTimeAsync(10 * SLOW_MS)
    expect([sink.destroyed, outgoing.signal.aborted]).toEqual([false, false])
  })

  it.each([
    ['that never reads', 0],
    ['that has stopped reading', 1],
  ])('is an error for a reader %s, never a shorter answer', async (_, taken) => {
    outgoing.send(piece(1), piece(2))
    sink.take(taken)
    await vi.advanceTimersByTimeAsync(2 * SLOW_MS)
    expect(sink.destroyed).toBe(true)
    expect(outgoing.signal.reason).toMatchObject({ code: 'session.aborted' })
  })

  it('cuts off a reader that stops once the end was sent, and that is no leaving', async () => {
    outgoing.end(piece(1))
    await vi.advanceTimersByTimeAsync(SLOW_MS)
    expect([sink.destroyed, outgoing.signal.aborted]).toEqual([true, false])
  })

  it('is waited for as long as nothing was sent', async () => {
    await vi.advanceTimersByTimeAsync(10 * SLOW_MS)
    outgoing.send(piece(1))
    sink.take()
    await vi.advanceTimersByTimeAsync(10 * SLOW_MS)
    expect(sink.destroyed).toBe(false)
  })

  it('says that its reader left, but not where all had been sent', () => {
    outgoing.send(piece(1))
    outgoing.left()
    expect(outgoing.signal.aborted).toBe(true)
    const other = new Outgoing(sink, SLOW_MS)
    other.end(piece(1))
    other.left()
    expect(other.signal.aborted).toBe(false)
  })
})
