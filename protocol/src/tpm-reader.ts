// Reads TPM 2.0 structures: big-endian, sized buffers, nothing left over.
import type { Bytes } from './bytes.ts'
import { SealedError } from './errors.ts'

export class TpmReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4))
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8))
  }

  take(length: number): Bytes {
    const at = this.#advance(length)
    return this.#bytes.slice(at, at + length) as Bytes
  }

  /** A TPM2B: u16 length, then that many bytes. */
  sized(max = 4096): Bytes {
    const length = this.u16()
    if (length > max)
      throw new SealedError(
        'evidence.invalid',
        `TPM buffer of ${length} bytes; at most ${max} allowed`,
      )
    return this.take(length)
  }

  end(): void {
    if (this.#at !== this.#bytes.length)
      throw new SealedError('evidence.invalid', 'bytes after a TPM structure')
  }

  #advance(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length)
      throw new SealedError('evidence.invalid', 'TPM structure is cut short')
    this.#at += length
    return at
  }
}
