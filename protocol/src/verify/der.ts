// Reads DER as X.509 extensions of ours need it: one spelling per value, definite and shortest lengths, nothing left
// over. Not a general reader: what it does not know it refuses.
import { type Bytes, fromUtf8 } from '../bytes.ts'
import { SealedError } from '../errors.ts'

const TAG = { boolean: 0x01, integer: 0x02, utf8: 0x0c, sequence: 0x30 }
/** Context-specific, constructed: `[n] EXPLICIT`. */
const explicitTag = (n: number) => 0xa0 | n

const bad = (message: string) => new SealedError('evidence.invalid', `DER: ${message}`)

export class DerReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  sequence(): DerReader {
    return new DerReader(this.#value(TAG.sequence))
  }

  /** The next value where it is `[n] EXPLICIT`, else nothing is read. */
  explicit(n: number): DerReader | undefined {
    const isNext = this.#bytes[this.#at] === explicitTag(n)
    return isNext ? new DerReader(this.#value(explicitTag(n))) : undefined
  }

  /** An INTEGER that is not negative and has at most 64 bits. */
  unsigned(): bigint {
    const value = this.#value(TAG.integer)
    const [first, second = 0xff] = value
    if (first === undefined || first > 0x7f) throw bad('integer is empty or negative')
    if (first === 0 && value.length > 1 && second < 0x80) throw bad('integer is not the shortest')
    if (value.length > (first === 0 ? 9 : 8)) throw bad('integer has more than 64 bits')
    return value.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  }

  boolean(): boolean {
    const value = this.#value(TAG.boolean)
    if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff))
      throw bad('boolean is neither 00 nor ff')
    return value[0] === 0xff
  }

  text(): string {
    return fromUtf8(this.#value(TAG.utf8))
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw bad('bytes after a structure')
  }

  #value(tag: number): Bytes {
    if (this.#byte() !== tag) throw bad(`a value has another tag than ${tag.toString(16)}`)
    const length = this.#length()
    const at = this.#at
    if (at + length > this.#bytes.length) throw bad('a value is cut short')
    this.#at += length
    return this.#bytes.slice(at, at + length) as Bytes
  }

  /** Up to 65,535: no certificate of ours is longer. */
  #length(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    if (first === 0x81) {
      const length = this.#byte()
      if (length >= 0x80) return length
    } else if (first === 0x82) {
      const length = this.#byte() * 256 + this.#byte()
      if (length >= 0x100) return length
    }
    throw bad('a length is indefinite, too long, or not the shortest')
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw bad('a structure is cut short')
    return byte
  }
}
