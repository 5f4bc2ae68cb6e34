// Changes to bytes and to lines of text as an attacker or a bad disk makes them: bits, lengths, pieces lost, moved,
// repeated. One to four changes an input; a few inputs grow long, to find what takes more than its time.
import { type Bytes, concat, utf8 } from '../bytes.ts'
import type { Random } from './random.ts'

/** Where lengths and counts go wrong. */
const EDGES = [
  0,
  1,
  2,
  3,
  4,
  31,
  32,
  33,
  63,
  64,
  65,
  127,
  128,
  255,
  256,
  257,
  4096,
  65_535,
  2 ** 24,
]
const LONG = 262_144

type Change = (random: Random, bytes: Bytes, other: Bytes) => Bytes

const within = (random: Random, bytes: Bytes): number => random.below(bytes.length + 1)
const span = (random: Random, bytes: Bytes): [from: number, to: number] => {
  const from = within(random, bytes)
  return [from, Math.min(bytes.length, from + 1 + random.below(random.pick([1, 4, 32, 256])))]
}
const patched = (bytes: Bytes, at: number, patch: Uint8Array): Bytes =>
  concat(bytes.subarray(0, at), patch, bytes.subarray(at + patch.length)).slice(0, bytes.length)
const without = (bytes: Bytes, from: number, to: number): Bytes =>
  concat(bytes.subarray(0, from), bytes.subarray(to))
const inserted = (bytes: Bytes, at: number, what: Uint8Array): Bytes =>
  concat(bytes.subarray(0, at), what, bytes.subarray(at))

function numberOf(random: Random): Bytes {
  const [value, size] = [random.pick(EDGES), random.pick([1, 2, 4, 8])]
  const big = Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)))
  return Uint8Array.from(random.once(2) ? big : big.reverse())
}

const CHANGES: readonly Change[] = [
  (random, bytes) => {
    const at = random.below(Math.max(1, bytes.length))
    return patched(bytes, at, Uint8Array.of((bytes[at] ?? 0) ^ (1 << random.below(8))))
  },
  (random, bytes) => patched(bytes, within(random, bytes), random.bytes(1 + random.below(4))),
  (random, bytes) => patched(bytes, within(random, bytes), numberOf(random)),
  (random, bytes) => without(bytes, ...span(random, bytes)),
  (random, bytes) => bytes.slice(0, within(random, bytes)),
  (random, bytes) => inserted(bytes, within(random, bytes), random.bytes(1 + random.below(8))),
  (random, bytes) => concat(bytes, random.bytes(1 + random.below(8))),
  (random, bytes) => inserted(bytes, within(random, bytes), bytes.subarray(...span(random, bytes))),
  (random, bytes, other) =>
    patched(bytes, within(random, bytes), other.subarray(...span(random, other))),
  (random, bytes, other) =>
    concat(bytes.subarray(0, within(random, bytes)), other.subarray(within(random, other))),
  (random, bytes) => patched(bytes, within(random, bytes), new Uint8Array(1 + random.below(32))),
]

/** One to four changes; `other` is what pieces are borrowed from. */
export function mutateBytes(random: Random, bytes: Bytes, other: Bytes = bytes): Bytes {
  let out = bytes
  for (let i = 1 + random.below(4); i > 0; i--) out = random.pick(CHANGES)(random, out, other)
  return random.once(500) ? longer(random, out) : out
}

/** A piece of it, over and over. */
function longer(random: Random, bytes: Bytes): Bytes {
  const at = within(random, bytes)
  const piece = bytes.length > 0 ? bytes.subarray(...span(random, bytes)) : random.bytes(3)
  const times = Math.floor(LONG / Math.max(1, piece.length) / random.pick([1, 8, 64]))
  const many = new Uint8Array(times * piece.length)
  for (let i = 0; i < times; i++) many.set(piece, i * piece.length)
  return inserted(bytes, at, many)
}

/** Lines lost, doubled, exchanged; numbers in them changed; else what happens to bytes. */
export function mutateLines(random: Random, text: string): Bytes {
  const lines = text.split('\n')
  const [a, b] = [random.below(lines.length), random.below(lines.length)]
  const [first, second] = [lines[a]!, lines[b]!]
  const kind = random.below(7)
  if (kind === 0) lines.splice(a, 1)
  else if (kind === 1) lines.splice(b, 0, first)
  else if (kind === 2) [lines[a], lines[b]] = [second, first]
  else if (kind === 3) lines[a] = first.replace(/\d+/, String(random.pick(EDGES)))
  else if (kind === 4)
    lines[a] = `${first}${random.pick([' ', '\r', '\t', '\0', 'A', '=', '\u2028'])}`
  else if (kind === 5)
    lines[a] = random.pick(['', ' ', first.toUpperCase(), `0${first}`, '\u2014 x AAAA'])
  const out = utf8(lines.join('\n'))
  return kind === 6 || random.once(4) ? mutateBytes(random, out) : out
}
