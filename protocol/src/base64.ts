// Base64 (RFC 4648) with one spelling for each value: padded in the standard alphabet, as notes and PEM have it, and
// unpadded in the other one, as every format of ours has it. Node does it in a tenth of the time; what it is more
// lenient about, encoding again tells.
import type { Bytes } from './bytes.ts'
import { SealedError } from './errors.ts'
import { nodeModule } from './runtime.ts'

export interface Base64 {
  /** RFC 4648 section 4, padded. */
  toBase64(bytes: Uint8Array): string
  /** Other spellings of the same bytes are `encoding.invalid`. */
  fromBase64(text: string): Bytes
  /** RFC 4648 section 5, without padding. */
  toBase64url(bytes: Uint8Array): string
  /** Other spellings of the same bytes are `encoding.invalid`. */
  fromBase64url(text: string): Bytes
}

const notBase64 = () => new SealedError('encoding.invalid', 'not canonical padded base64')
const notBase64url = () => new SealedError('encoding.invalid', 'not canonical unpadded base64url')

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const SEXTET = new Uint8Array(128).fill(255)
for (let i = 0; i < 64; i++) SEXTET[ALPHABET.charCodeAt(i)] = i
const DIGIT = new TextEncoder().encode(ALPHABET)
const PAD = 61
const decoder = new TextDecoder()

export const portable: Base64 = {
  toBase64(bytes) {
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
    return decoder.decode(out)
  },
  fromBase64(text) {
    const padding = paddingOf(text)
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
  },
  toBase64url: (bytes) =>
    portable.toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
  fromBase64url(text) {
    if (/[^A-Za-z0-9_-]/.test(text) || text.length % 4 === 1) throw notBase64url()
    const standard = text.replaceAll('-', '+').replaceAll('_', '/')
    try {
      return portable.fromBase64(standard.padEnd(Math.ceil(text.length / 4) * 4, '='))
    } catch {
      throw notBase64url()
    }
  },
}

/** Of Node's buffer module, what is used here. */
export interface NodeBuffer {
  Buffer: { from(memory: ArrayBufferLike, offset: number, length: number): NodeBytes }
}
interface NodeBytes {
  write(text: string, encoding: Encoding): number
  toString(encoding: Encoding): string
}
type Encoding = 'base64' | 'base64url'

export function native({ Buffer }: NodeBuffer): Base64 {
  const encode = ({ buffer, byteOffset, length }: Uint8Array, encoding: Encoding) =>
    Buffer.from(buffer, byteOffset, length).toString(encoding)
  const decode = (text: string, length: number, encoding: Encoding): Bytes | undefined => {
    const out = new Uint8Array(length)
    Buffer.from(out.buffer, 0, length).write(text, encoding)
    return encode(out, encoding) === text ? out : undefined
  }
  return {
    toBase64: (bytes) => encode(bytes, 'base64'),
    fromBase64(text) {
      const length = Math.floor(text.length / 4) * 3 - paddingOf(text)
      const bytes = length < 0 ? undefined : decode(text, length, 'base64')
      if (!bytes) throw notBase64()
      return bytes
    },
    toBase64url: (bytes) => encode(bytes, 'base64url'),
    fromBase64url(text) {
      const bytes = decode(text, Math.floor((text.length * 3) / 4), 'base64url')
      if (!bytes) throw notBase64url()
      return bytes
    },
  }
}

const paddingOf = (text: string): number => (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)

export const node = nodeModule<NodeBuffer>('node:buffer')

export const { toBase64, fromBase64, toBase64url, fromBase64url }: Base64 = node
  ? native(node)
  : portable
