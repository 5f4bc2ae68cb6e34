// TPM 2.0 marshalling (Part 2): big-endian integers and TPM2B size-prefixed buffers.
// A reader never reads past its bytes and is expected to be read to its end.
import { concat, SealedError, u32be } from '@sealed/protocol'

/** A TPM2B: 16-bit size, then the bytes. */
export const sized = (bytes: Uint8Array): Uint8Array => concat(u16(bytes.length), bytes)

export const u16 = (value: number): Uint8Array => new Uint8Array([value >>> 8, value & 255])

export const u32 = u32be

export const u8 = (value: number): Uint8Array => new Uint8Array([value])

/** Reads a structure front to back. Anything missing or left over is `tpm.failed`. */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  /** Copies the next `length` bytes out, so that nothing keeps the socket's buffer alive. */
  take(length: number): Uint8Array {
    return this.#bytes.slice(this.#step(length), this.#at)
  }

  u8 = (): number => this.#view.getUint8(this.#step(1))
  u16 = (): number => this.#view.getUint16(this.#step(2))
  u32 = (): number => this.#view.getUint32(this.#step(4))
  u64 = (): bigint => this.#view.getBigUint64(this.#step(8))

  sized = (): Uint8Array => this.take(this.u16())

  end(): void {
    if (this.#at !== this.#bytes.length)
      throw new SealedError(
        'tpm.failed',
        `${this.#what}: ${this.#bytes.length - this.#at} bytes more than the structure holds`,
      )
  }

  #step(length: number): number {
    const start = this.#at
    if (start + length > this.#bytes.length)
      throw new SealedError(
        'tpm.failed',
        `${this.#what}: ends after ${this.#bytes.length} bytes, ${start + length} were expected`,
      )
    this.#at = start + length
    return start
  }
}
