import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StopFilter } from './stop.ts'

const said = (sequences: string[], pieces: readonly string[]) => {
  const filter = new StopFilter(sequences)
  const sent = pieces.map((piece) => filter.push(piece))
  return { text: sent.join('') + filter.rest(), stopped: filter.stopped, sent }
}
const letters = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength, maxLength })

test('however the text is cut, it ends before the sequence', () => {
  fc.assert(
    fc.property(fc.array(letters(0, 4)), letters(1, 3), (pieces, sequence) => {
      const text = pieces.join('')
      const { text: sent, stopped } = said([sequence], pieces)
      expect(sent).toBe(text.split(sequence, 1)[0])
      expect(stopped).toBe(text.includes(sequence))
    }),
  )
})

test('of several sequences none is ever sent, nor anything after one', () => {
  fc.assert(
    fc.property(
      fc.array(letters(0, 4)),
      fc.array(letters(1, 3), { minLength: 1, maxLength: 4 }),
      (pieces, sequences) => {
        const text = pieces.join('')
        const { text: sent, stopped } = said(sequences, pieces)
        expect(text.startsWith(sent)).toBe(true)
        expect(stopped).toBe(sequences.some((sequence) => text.includes(sequence)))
        if (!stopped) expect(sent).toBe(text)
        for (const sequence of sequences) expect(sent).not.toContain(sequence)
      },
    ),
  )
})

test('holds back only what may begin a sequence', () => {
  expect(said(['stop'], ['go st', 'art s', 'to', 'p now']).sent).toEqual(['go ', 'start ', '', ''])
  expect(said([], ['at ', 'once']).sent).toEqual(['at ', 'once'])
})
