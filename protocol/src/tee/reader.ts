// Reads the little-endian structures of AMD's and Intel's evidence: exact lengths, zeros where nothing is defined,
// nothing left over.
import type { Bytes } from '../bytes.ts'
import { SealedError } from '../errors.ts'

export class TeeReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true)
  }

  take(length: number): Bytes {
    const at = this.#advance(length)
    return this.#bytes.slice(at, at + length) as Bytes
  }

  /** Reserved bytes. */
  zeros(length: number): void {
    const at = this.#at
    if (this.take(length).some((byte) => byte !== 0))
      throw this.bad(`reserved bytes at ${at} are not zero`)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.bad('bytes left over')
  }

  /** `evidence.invalid`, naming the structure. */
  bad(message: string): SealedError {
    return new SealedError('evidence.invalid', `${this.#what}: ${message}`)
  }

  #advance(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length) throw this.bad('cut short')
    this.#at += length
    return at
  }
}
