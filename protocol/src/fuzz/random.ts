// Randomness that can be asked for again: a small generator whose every draw follows from its seed. For tests alone; no
// key or nonce ever comes from here.
import type { Bytes } from '../bytes.ts'

/** Spreads the bits of a 32-bit number (the finaliser of MurmurHash3). */
function spread(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

export class Random {
  #state: number

  /** The draws depend on all of `seeds`, in their order. */
  constructor(...seeds: (number | string)[]) {
    this.#state = 0
    for (const seed of seeds)
      for (const part of typeof seed === 'number'
        ? [seed]
        : Array.from(seed, (c) => c.codePointAt(0)!))
        this.#state = spread(Math.imul(this.#state, 31) + part + 0x9e3779b9)
  }

  /** Unsigned, 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0
    return spread(this.#state) >>> 0
  }

  /** 0 to `bound` - 1. */
  below(bound: number): number {
    return this.next() % bound
  }

  /** True once in `n` times. */
  once(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  bytes(length: number): Bytes {
    const out = new Uint8Array(length)
    for (let i = 0; i < length; i++) out[i] = this.next()
    return out
  }
}
