// In a file of its own: the primitives need it, and may import nothing that is made of them.
import type { Bytes } from './bytes.ts'

/** All parts in order, in one new array. */
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
