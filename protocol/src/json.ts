// JSON in two strengths: a strict parser for files that people write, and the canonical form (RFC 8785, narrowed)
// for everything that is hashed or signed. Neither ever lets one value be spelled in a way the other side reads
// differently: duplicate members, floats, unsafe integers and odd names are refused.
import { type Bytes, fromUtf8, utf8 } from './bytes.ts'
import { SealedError } from './errors.ts'

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

const NAME = /^[a-z][a-z0-9_]*$/
/** Text that stands in JSON as it is. */
const PLAIN = /^[ !#-[\]-~]*$/
const MAX_DEPTH = 32

const bad = (message: string) => new SealedError('json.invalid', message)

/**
 * Serialises in canonical form: members sorted, no white space, integers only (RFC 8785 restricted to names
 * `[a-z][a-z0-9_]*`, for which code-point and UTF-16 order agree). Throws `json.invalid` on anything else.
 */
export function canonicalize(value: unknown): string {
  return write(value, 0)
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      if (PLAIN.test(value)) return `"${value}"`
      if (!value.isWellFormed()) throw bad('string holds a lone surrogate')
      return JSON.stringify(value)
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0))
        throw bad(`${value} is no safe integer`)
      return String(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      break
    default:
      throw bad(`a ${typeof value} has no JSON form`)
  }
  if (value === null) return 'null'
  if (depth === MAX_DEPTH) throw bad(`nested deeper than ${MAX_DEPTH}`)
  let text = ''
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++)
      text += `${i === 0 ? '' : ','}${write(value[i], depth + 1)}`
    return `[${text}]`
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    throw bad('an object of a class has no JSON form')
  const record = value as Record<string, unknown>
  for (const name of Object.keys(record).sort()) {
    if (!NAME.test(name)) throw bad(`member name ${JSON.stringify(name)} is not [a-z][a-z0-9_]*`)
    text += `${text === '' ? '' : ','}"${name}":${write(record[name], depth + 1)}`
  }
  return `{${text}}`
}

export const canonicalBytes = (value: unknown): Bytes => utf8(canonicalize(value))

/**
 * Parses bytes that must be in canonical form, by writing the parsed value again and comparing: duplicates,
 * white space, floats and other spellings cannot survive that. Throws `json.invalid` or `json.not_canonical`.
 */
export function parseCanonical(input: Uint8Array | string): Json {
  const text = typeof input === 'string' ? input : fromUtf8(input)
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    throw bad('not JSON')
  }
  if (canonicalize(value) !== text)
    throw new SealedError('json.not_canonical', 'JSON is not in canonical form (RFC 8785)')
  return value
}

/**
 * Parses JSON that people write (white space allowed), with the same values as the canonical form: no duplicate
 * members, no floats, no unsafe integers. `names` says what member names are like where they are somebody else's.
 * Throws `json.invalid` with line and column.
 */
export function parseStrict(text: string, names = NAME): Json {
  const reader = new Reader(text, names)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  readonly #text: string
  readonly #names: RegExp
  #at = 0

  constructor(text: string, names: RegExp) {
    this.#text = text
    this.#names = names
  }

  value(depth: number): Json {
    this.#space()
    const next = this.#text[this.#at]
    if ((next === '{' || next === '[') && depth === MAX_DEPTH)
      throw this.#fail(`nested deeper than ${MAX_DEPTH}`)
    if (next === '{') return this.#object(depth)
    if (next === '[') return this.#array(depth)
    if (next === '"') return this.#string()
    if (this.#take('true')) return true
    if (this.#take('false')) return false
    if (this.#take('null')) return null
    return this.#integer()
  }

  end(): void {
    this.#space()
    if (this.#at < this.#text.length) throw this.#fail('text after the value')
  }

  #object(depth: number): Json {
    const out: { [name: string]: Json } = Object.create(null)
    this.#expect('{')
    this.#space()
    if (this.#take('}')) return { ...out }
    do {
      this.#space()
      const name = this.#string()
      if (!this.#names.test(name))
        throw this.#fail(
          `member name ${JSON.stringify(name)} is not ${this.#names.source.slice(1, -1)}`,
        )
      if (name in out) throw this.#fail(`member "${name}" twice`)
      this.#space()
      this.#expect(':')
      out[name] = this.value(depth + 1)
      this.#space()
    } while (this.#take(','))
    this.#expect('}')
    return { ...out }
  }

  #array(depth: number): Json {
    const out: Json[] = []
    this.#expect('[')
    this.#space()
    if (this.#take(']')) return out
    do {
      out.push(this.value(depth + 1))
      this.#space()
    } while (this.#take(','))
    this.#expect(']')
    return out
  }

  #string(): string {
    const start = this.#at
    this.#expect('"')
    while (this.#at < this.#text.length) {
      const c = this.#text[this.#at++]
      if (c === '\\') this.#at++
      else if (c === '"') {
        try {
          const value = JSON.parse(this.#text.slice(start, this.#at)) as string
          if (value.isWellFormed()) return value
        } catch {}
        break
      }
    }
    throw this.#fail('malformed string')
  }

  #integer(): number {
    const match = /^-?(?:0|[1-9][0-9]*)(?![0-9.eE])/.exec(this.#text.slice(this.#at, this.#at + 24))
    const value = Number(match?.[0])
    if (!match || !Number.isSafeInteger(value) || Object.is(value, -0))
      throw this.#fail('expected a value (numbers are safe integers)')
    this.#at += match[0].length
    return value
  }

  #space(): void {
    while (' \t\r\n'.includes(this.#text[this.#at] ?? '.')) this.#at++
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw this.#fail(`expected ${token}`)
  }

  #fail(message: string): SealedError {
    const before = this.#text.slice(0, this.#at).split('\n')
    return bad(`${message} at line ${before.length}, column ${before.at(-1)!.length + 1}`)
  }
}
