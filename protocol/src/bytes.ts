// Byte helpers shared by every format: encodings are strict, so that one value has one spelling.
import { concat } from './concat.ts'
import { SealedError } from './errors.ts'
import * as primitives from './primitives.ts'

export { fromBase64, fromBase64url, toBase64, toBase64url } from './base64.ts'

export { concat }

/** Bytes backed by an ordinary ArrayBuffer, as Web Crypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const utf8 = (text: string): Bytes => utf8Encoder.encode(text) as Bytes

/** Decodes UTF-8; throws `encoding.invalid` on malformed input. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    throw new SealedError('encoding.invalid', 'bytes are not valid UTF-8')
  }
}

/** Compares in time that depends on the lengths only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += HEX[byte]
  return out
}

/** Decodes lower-case hex of exactly `length` bytes (any even length without it); else `encoding.invalid`. */
export function fromHex(text: string, length?: number): Bytes {
  if (!/^(?:[0-9a-f]{2})*$/.test(text) || (length !== undefined && text.length !== 2 * length))
    throw new SealedError(
      'encoding.invalid',
      `expected ${length ?? 'whole'} bytes of lower-case hex`,
    )
  const out = new Uint8Array(text.length / 2)
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return out
}

export const sha256 = (...parts: Uint8Array[]): Promise<Bytes> =>
  primitives.sha256(parts.length === 1 ? parts[0]! : concat(...parts))

export async function sha256Hex(...parts: Uint8Array[]): Promise<string> {
  return toHex(await sha256(...parts))
}

export const randomBytes = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))

export function u32be(value: number): Bytes {
  const out = new Uint8Array(4)
  writeU32be(out, 0, value)
  return out
}

/**
 * Writes a u32, big-endian, and reads one; `at` must leave room. By single bytes: a DataView takes a small array out of
 * the heap first, which costs more than all else that is done with it.
 */
export function writeU32be(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
export const readU32be = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
