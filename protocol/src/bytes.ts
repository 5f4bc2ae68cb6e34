// Byte helpers shared by every format: encodings are strict, so that one value has one spelling.
import { SealedError } from './errors.ts'
import * as primitives from './primitives.ts'

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

export function concat(...parts: Uint8Array[]): Bytes {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
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

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const SEXTET = new Uint8Array(128).fill(255)
for (let i = 0; i < 64; i++) SEXTET[ALPHABET.charCodeAt(i)] = i
const DIGIT = utf8Encoder.encode(ALPHABET)
const PAD = 61

/** Base64 (RFC 4648 section 4, padded), as notes and PEM use it. */
export function toBase64(bytes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(PAD, -4)
  let at = 0
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i
    const bits = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    out[at++] = DIGIT[bits >> 18]!
    out[at++] = DIGIT[(bits >> 12) & 63]!
    if (left > 1) out[at++] = DIGIT[(bits >> 6) & 63]!
    if (left > 2) out[at++] = DIGIT[bits & 63]!
  }
  return utf8Decoder.decode(out)
}

/** Decodes canonical padded base64; other spellings of the same bytes are `encoding.invalid`. */
export function fromBase64(text: string): Bytes {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const digits = text.length - padding
  if (text.length % 4 !== 0) throw notBase64()
  const out = new Uint8Array((text.length / 4) * 3 - padding)
  let bits = 0
  let at = 0
  for (let i = 0; i < digits; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? SEXTET[code]! : 255
    if (value === 255) throw notBase64()
    bits = (bits << 6) | value
    if (i % 4 !== 0) out[at++] = (bits >> (6 - 2 * (i % 4))) & 255
  }
  if (bits & ((1 << (2 * padding)) - 1)) throw notBase64()
  return out
}

const notBase64 = () => new SealedError('encoding.invalid', 'not canonical padded base64')

/** Base64url without padding (RFC 4648 section 5), as every format of ours uses it. */
export const toBase64url = (bytes: Uint8Array): string =>
  toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

/** Decodes canonical unpadded base64url; other spellings of the same bytes are `encoding.invalid`. */
export function fromBase64url(text: string): Bytes {
  if (/[^A-Za-z0-9_-]/.test(text) || text.length % 4 === 1)
    throw new SealedError('encoding.invalid', 'not unpadded base64url')
  const standard = text.replaceAll('-', '+').replaceAll('_', '/')
  return fromBase64(standard.padEnd(Math.ceil(text.length / 4) * 4, '='))
}

export const sha256 = (...parts: Uint8Array[]): Promise<Bytes> =>
  primitives.sha256(parts.length === 1 ? parts[0]! : concat(...parts))

export async function sha256Hex(...parts: Uint8Array[]): Promise<string> {
  return toHex(await sha256(...parts))
}

export const randomBytes = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))

export function u32be(value: number): Bytes {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}
