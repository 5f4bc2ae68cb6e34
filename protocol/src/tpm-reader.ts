// Reads TPM 2.0 structures: sized buffers, nothing left over. Big-endian, as a TPM speaks; event logs are little-endian.
import type { Bytes } from './bytes.ts'
import { SealedError } from './errors.ts'

export class TpmReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #little: boolean
  #at = 0

  constructor(bytes: Uint8Array, order: 'big' | 'little' = 'big') {
    this.#bytes = bytes
    this.#little = order === 'little'
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), this.#little)
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), this.#little)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), this.#little)
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

  /** Bytes not yet read. */
  get left(): number {
    return this.#bytes.length - this.#at
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
