import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Tokenizer, type TokenizerFile } from './tokenizer.ts'

const json = (...path: string[]): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, '..', ...path), 'utf8'))
const tokenizer = new Tokenizer(json('model', 'tokenizer.json') as TokenizerFile)
const { encoded } = json('train', 'vectors', 'forward.json') as {
  encoded: { text: string; tokens: number[] }[]
}

test('any text comes back from its tokens', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(
        tokenizer.decode(tokenizer.encode(text)),
      )
      expect(decoded).toBe(text)
    }),
  )
})

test.each(encoded)('encodes $text as the one it was trained with does', ({ text, tokens }) => {
  expect(tokenizer.encode(text)).toEqual(tokens)
})

test('text never becomes a special token', () => {
  const specials = ['<|end|>', '<|user|>', '<|assistant|>']
  const ids = specials.map((name) => tokenizer.special(name))
  expect(ids).toEqual([0, 1, 2])
  for (const name of specials) expect(Math.min(...tokenizer.encode(name))).toBeGreaterThan(2)
  expect(() => tokenizer.special('<|other|>')).toThrow('no special <|other|>')
})
