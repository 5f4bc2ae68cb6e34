// Mutants: `#need` not set for a frame that is cut; what is left of a piece dropped; the bound of a frame, or of a body,
// not looked at.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat } from './bytes.ts'
import {
  dataFrames,
  encodeRelayFrames,
  type OutFrame,
  RelayFrameReader,
  type RelayFrameType,
} from './relay-frames.ts'

const types: RelayFrameType[] = ['request', 'body', 'head', 'data', 'final', 'failed']
const frame = fc.tuple(fc.constantFrom(...types), fc.uint8Array({ maxLength: 64 }))

describe('frames between gateway and relay', () => {
  it('come out as they went in, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 90 })),
        (frames, cuts) => {
          const bytes = encodeRelayFrames(...frames)
          const reader = new RelayFrameReader(64)
          const got: OutFrame[] = []
          for (let at = 0; at < bytes.length; ) {
            const size = cuts.next().value as number
            for (const { type, bytes: content } of reader.push(bytes.subarray(at, at + size)))
              got.push([type, Uint8Array.from(content)])
            at += size
          }
          expect(got).toEqual(frames)
        },
      ),
    )
  })

  it('hold an answer of any length in pieces of one size', () => {
    const bytes = new Uint8Array(200_000).map((_, i) => i)
    const pieces = [...dataFrames(bytes)]
    expect(pieces.map(([type, { length }]) => [type, length])).toEqual([
      ['data', 65_536],
      ['data', 65_536],
      ['data', 65_536],
      ['data', 3_392],
    ])
    expect(concat(...pieces.map(([, piece]) => piece))).toEqual(bytes)
    expect([...dataFrames(new Uint8Array(0))]).toEqual([])
  })

  it.each([
    ['of no type', [6, 0, 0, 0, 0]],
    ['over 1 MiB', [3, 0, 16, 0, 1]],
    ['of four gigabytes', [3, 255, 255, 255, 255]],
    ['with a body where there is none', [1, 0, 0, 0, 1]],
  ])('%s are refused at their first bytes', (_, bytes) => {
    const reader = new RelayFrameReader()
    expect(() => reader.push(Uint8Array.from(bytes))).toThrow('no frame')
  })

  it('have bodies up to the bound', () => {
    const body = (length: number) => encodeRelayFrames(['body', new Uint8Array(length)])
    expect(new RelayFrameReader(10).push(body(10))).toHaveLength(1)
    expect(() => new RelayFrameReader(10).push(body(11))).toThrow('no frame')
  })
})
