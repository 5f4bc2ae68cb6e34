import { fromUtf8, utf8 } from '@sealed/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EndMarker } from './end-marker.ts'

/** What is shown of a stream that comes in these pieces, and what is held back. */
function split(...pieces: string[]) {
  const marker = new EndMarker()
  const shown = pieces.map((piece) => fromUtf8(marker.push(utf8(piece)))).join('')
  return { shown, held: fromUtf8(marker.rest()) }
}

const END = 'data: [DONE]\n\n'

describe('the end of an event stream', () => {
  it('is held back, with all that follows it', () => {
    expect(split(`data: {}\n\n${END}data: {}\n\n`, END)).toEqual({
      shown: 'data: {}\n\n',
      held: `${END}data: {}\n\n${END}`,
    })
    expect(split('data:[DONE]\r\n\r\n')).toEqual({ shown: '', held: 'data:[DONE]\r\n\r\n' })
    expect(split('a\rdata: [DONE]\r\r').shown).toBe('a\r')
  })

  it('is known however it is cut', () => {
    const text = `data: {"a":1}\n\n${END}`
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length]
        const pieces = at.slice(1).map((end, index) => text.slice(at[index], end))
        expect(split(...pieces)).toEqual({ shown: 'data: {"a":1}\n\n', held: END })
      }),
      { numRuns: 200 },
    )
  })

  it('is not seen inside a line, and what only began like it is shown', () => {
    const text = 'data: data: [DONE]\n\ndata: [DONT]\n\n: data: [DONE]\n'
    expect(split(text)).toEqual({ shown: text, held: '' })
    expect(split('data: [DO', 'NT]\n\n')).toEqual({ shown: 'data: [DONT]\n\n', held: '' })
  })

  it('loses no byte and changes none', () => {
    const piece = fc.constantFrom('data: ', '[DONE]', '\n', '\r', 'd', 'data:', 'x', '[DO')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const { held, shown } = split(...pieces)
        expect(shown + held).toBe(pieces.join(''))
      }),
      { numRuns: 300 },
    )
  })
})
