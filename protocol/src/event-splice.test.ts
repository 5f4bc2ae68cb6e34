import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, utf8 } from './bytes.ts'
import { EventStapler, HEARTBEAT, unspliceEvents } from './event-splice.ts'

const receipts = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const lines = fc.oneof(
  fc.json().map((json) => `data: ${json}`),
  fc.constantFrom('event: x', ': comment', 'data: [DON', 'data: [', 'da', ''),
  fc.string().map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
)
const newlines = fc.constantFrom('\n', '\n\n', '\r\n', '\r\n\r\n', '\r')
const bodies = fc
  .array(fc.tuple(lines, newlines), { maxLength: 12 })
  .map((pairs) => pairs.map(([line, newline]) => line + newline).join(''))
  .filter((body) => !`\n${body}`.includes('\ndata: [DONE]'))
const ends = fc.constantFrom(
  '',
  'data: [DONE]',
  'data: [DONE]\n',
  'data: [DONE]\n\n',
  'data: [DONE]\r\n\r\n',
)

/** Cuts bytes into pieces of these lengths, again and again. */
function pieces(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const out: Uint8Array[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!
    out.push(bytes.subarray(at, at + length))
    at += length
  }
  return out
}

function stapled(stream: Uint8Array, receipt: string, lengths = [7], beats = false): Uint8Array {
  const stapler = new EventStapler()
  const out: Uint8Array[] = []
  const beat = () => {
    if (beats && stapler.between) out.push(HEARTBEAT)
  }
  beat()
  for (const piece of pieces(stream, lengths)) {
    out.push(stapler.push(piece))
    beat()
  }
  return concat(...out, stapler.end(receipt))
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

describe('a stapled event stream', () => {
  it('gives back every byte of the workload and the receipt, however it came and with heartbeats between', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(
        bodies,
        ends,
        receipts,
        lengths,
        fc.boolean(),
        (body, end, receipt, cuts, beats) => {
          const line = body === '' || /[\n]$/.test(body)
          const stream = utf8(body + (line ? end : ''))
          const whole = stapled(stream, receipt, cuts, beats)
          expect(unspliceEvents(whole)).toEqual({ output: stream, receipt })
        },
      ),
    )
  })

  it('has the receipt as a chunk directly before its end mark', () => {
    const stream = utf8('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n')
    expect(text(stapled(stream, 'r'))).toBe(
      'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' +
        'data: {"choices":[],"object":"chat.completion.chunk","receipt":"r"}\n\ndata: [DONE]\n\n',
    )
  })

  it('has the receipt as a comment at its end where there is no such mark', () => {
    expect(text(stapled(utf8('event: done\ndata: {}\n\n'), 'r'))).toBe(
      'event: done\ndata: {}\n\n\n\n: sealed-receipt r\n\n',
    )
  })

  it('is passed on at once, but for what may be the end mark', () => {
    const stapler = new EventStapler()
    expect(text(stapler.push(utf8('data: 1\n\nda')))).toBe('data: 1\n\n')
    expect(text(stapler.push(utf8('ta: 2\n\n')))).toBe('data: 2\n\n')
    expect(text(stapler.push(utf8('data: [DONE]\n')))).toBe('')
    expect(text(stapler.push(utf8('\n')))).toBe('')
    expect(text(stapler.end('r'))).toMatch(/"receipt":"r"\}\n\ndata: \[DONE\]\n\n$/)
  })

  it.each([
    ['a heartbeat', ': sealed\n\n'],
    ['a heartbeat after an event', 'data: 1\n\n: sealed\n\n'],
    ['a comment with a receipt', 'data: 1\n\n\n\n: sealed-receipt r\n\n'],
    [
      'a chunk with a receipt',
      'data: {"choices":[],"object":"chat.completion.chunk","receipt":"r"}\n\ndata: [DONE]\n\n',
    ],
    ['more after its end mark', `data: [DONE]\n\n${'data: more\n\n'.repeat(3)}`],
  ])('is refused where the workload wrote %s, in one piece or byte by byte', (_, stream) => {
    for (const lengths of [[1], [1000], [3, 5]])
      expect(() => stapled(utf8(stream), 'r', lengths)).toThrow(
        expect.objectContaining({ code: 'workload.failed' }),
      )
  })

  it('may speak of receipts and seals inside its data', () => {
    const stream = utf8(
      'data: {"text":": sealed\\n\\n and \\"receipt\\":\\"r\\""}\n\ndata: [DONE]\n\n',
    )
    expect(unspliceEvents(stapled(stream, 'r'))).toEqual({ output: stream, receipt: 'r' })
  })

  it('is found in nothing else', () => {
    for (const stream of [
      '',
      'data: [DONE]\n\n',
      'data: {"choices":[],"object":"chat.completion.chunk","receipt":"r"}\n\n',
      'data: {"choices":[],"object":"chat.completion.chunk","receipt":"+"}\n\ndata: [DONE]\n\n',
      ': sealed-receipt r\n\n',
      'data: 1\n\n: sealed-receipt r\n\nmore',
    ])
      expect(unspliceEvents(utf8(stream))).toBeUndefined()
  })
})
