// Changes to JSON that keep it JSON, so that they reach what stands behind the parser: values of other types, members
// lost, doubled, renamed, borrowed; numbers at their edges; bytes inside base64url and hex changed and encoded again.
import { type Bytes, fromBase64url, fromHex, fromUtf8, toBase64url, toHex, utf8 } from '../bytes.ts'
import { mutateBytes } from './mutate-bytes.ts'
import type { Random } from './random.ts'

const STRANGE: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    '',
    'a',
    '\u0000',
    '\ud800',
    '0',
    '00',
    '__proto__',
    [],
    {},
    [[]],
    { a: 1 },
  ],
  ...[0, -0, -1, 1, 1.5, 1e21, 2 ** 53, 2 ** 53 - 1, -(2 ** 53), 65_536],
]
const NAMES = ['__proto__', 'constructor', 'toString', 'a', 'A', '', 'version', 'x'.repeat(200)]

type Container = Record<string, unknown> | unknown[]
interface Place {
  of: Container
  at: string | number
}

/** A changed copy, written in canonical order more often than not; not JSON at all once in a while. */
export function mutateJson(random: Random, bytes: Bytes, other: Bytes = bytes): Bytes {
  if (random.once(6)) return mutateBytes(random, bytes, other)
  const root: { value: unknown } = { value: JSON.parse(fromUtf8(bytes)) }
  const lender = lendingOf(other)
  for (let i = 1 + random.below(3); i > 0; i--) {
    const places = placesIn({ of: root, at: 'value' })
    change(random, random.pick(places), lender)
  }
  const text = write(root.value, random)
  return random.once(20) ? mutateBytes(random, utf8(text)) : utf8(text)
}

function placesIn(place: Place): Place[] {
  const value = (place.of as Record<string, unknown>)[place.at]
  if (typeof value !== 'object' || value === null) return [place]
  const of = value as Container
  const inside = Array.isArray(of)
    ? of.map((_, at) => ({ of, at }))
    : Object.keys(of).map((at) => ({ of, at }))
  return [place, ...inside.flatMap(placesIn)]
}

const lendings = new WeakMap<Bytes, Place[]>()

/** What may be borrowed from a sample; the same for every input. */
function lendingOf(sample: Bytes): Place[] {
  const places =
    lendings.get(sample) ?? placesIn({ of: { value: JSON.parse(fromUtf8(sample)) }, at: 'value' })
  lendings.set(sample, places)
  return places
}

function change(random: Random, { of, at }: Place, lender: readonly Place[]): void {
  const record = of as Record<string | number, unknown>
  const value = record[at]
  const kind = random.below(8)
  if (kind === 0) record[at] = structuredClone(random.pick(STRANGE))
  else if (kind === 1) remove(of, at)
  else if (kind === 2) add(random, of, value)
  else if (kind === 3) {
    const from = random.pick(lender)
    record[at] = structuredClone((from.of as Record<string, unknown>)[from.at])
  } else if (kind === 4 && random.once(8)) record[at] = deep(random, value)
  else record[at] = changed(random, value)
}

function remove(of: Container, at: string | number): void {
  if (Array.isArray(of)) of.splice(Number(at), 1)
  else delete of[at]
}

function add(random: Random, of: Container, value: unknown): void {
  if (Array.isArray(of)) of.splice(random.below(of.length + 1), 0, structuredClone(value))
  else
    Object.defineProperty(of, random.pick(NAMES), {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    })
}

function deep(random: Random, value: unknown): unknown {
  let out = value
  for (let depth = random.pick([30, 31, 32, 33, 200]); depth > 0; depth--)
    out = random.once(2) ? [out] : { a: out }
  return out
}

function changed(random: Random, value: unknown): unknown {
  if (typeof value === 'number') return value + random.pick([-1, 1, 256, 2 ** 32, -value, 0.5])
  if (typeof value === 'boolean') return !value
  if (Array.isArray(value)) return random.once(2) ? value.toReversed() : [...value, ...value]
  if (typeof value !== 'string') return structuredClone(random.pick(STRANGE))
  const encoded = [
    [/^(?:[0-9a-f]{2})+$/, fromHex, toHex],
    [/^[A-Za-z0-9_-]{4,}$/, fromBase64url, toBase64url],
  ] as const
  for (const [form, decode, encode] of encoded)
    if (form.test(value) && !random.once(4)) {
      try {
        return encode(mutateBytes(random, decode(value)))
      } catch {
        break
      }
    }
  return random.pick([
    value.slice(0, -1),
    value + value,
    value.toUpperCase(),
    `${value}=`,
    `${value}\n`,
    ` ${value}`,
    new TextDecoder().decode(mutateBytes(random, utf8(value))),
  ])
}

/** Members sorted as canonical JSON has them, or as they come, or one of them twice. */
function write(value: unknown, random: Random): string {
  let twice = random.once(12)
  const sorted = !random.once(8)
  const text = (v: unknown): string => {
    if (Array.isArray(v)) return `[${v.map(text).join(',')}]`
    if (typeof v !== 'object' || v === null) return JSON.stringify(v) ?? 'null'
    const names = Object.keys(v)
    if (sorted) names.sort()
    const members = names.map(
      (name) => `${JSON.stringify(name)}:${text((v as Record<string, unknown>)[name])}`,
    )
    if (twice && members.length > 0 && random.once(3)) {
      twice = false // one is enough, and more would double at every level
      members.push(random.pick(members))
    }
    return `{${members.join(',')}}`
  }
  return text(value)
}
