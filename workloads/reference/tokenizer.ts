// Byte-level byte-pair encoding, as workloads/train/tokenizer.py made it: ids are the specials, 256 bytes, then one per
// merge in the order in which they were learnt.

const PIECE = / ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+|\s+/g

export interface TokenizerFile {
  merges: readonly (readonly [number, number])[]
  specials: readonly string[]
}

export class Tokenizer {
  readonly #ranks: Map<string, number>
  readonly #bytes: Uint8Array[]
  readonly #specials: readonly string[]
  readonly #firstMerge: number

  constructor({ merges, specials }: TokenizerFile) {
    this.#specials = specials
    this.#firstMerge = specials.length + 256
    this.#ranks = new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]))
    this.#bytes = [
      ...specials.map(() => new Uint8Array(0)),
      ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ]
    for (const [left, right] of merges)
      this.#bytes.push(Uint8Array.from([...this.#bytes[left]!, ...this.#bytes[right]!]))
  }

  /** Id of a special; never produced from text. */
  special(name: string): number {
    const id = this.#specials.indexOf(name)
    if (id < 0) throw new Error(`the tokenizer has no special ${name}`)
    return id
  }

  encode(text: string): number[] {
    return (text.match(PIECE) ?? []).flatMap((piece) => this.#piece(piece))
  }

  /** The bytes of some tokens; they may end within a character. */
  decode(tokens: readonly number[]): Uint8Array {
    return Buffer.concat(tokens.map((token) => this.#bytes[token] ?? new Uint8Array(0)))
  }

  #piece(piece: string): number[] {
    let sequence = Array.from(
      new TextEncoder().encode(piece),
      (byte) => this.#specials.length + byte,
    )
    for (;;) {
      let best = Number.POSITIVE_INFINITY
      for (let i = 0; i + 1 < sequence.length; i++)
        best = Math.min(best, this.#ranks.get(`${sequence[i]} ${sequence[i + 1]}`) ?? best)
      if (best === Number.POSITIVE_INFINITY) return sequence
      sequence = this.#merge(sequence, best)
    }
  }

  #merge(sequence: readonly number[], rank: number): number[] {
    const out: number[] = []
    for (let i = 0; i < sequence.length; i++) {
      if (this.#ranks.get(`${sequence[i]} ${sequence[i + 1]}`) === rank) {
        out.push(this.#firstMerge + rank)
        i++
      } else out.push(sequence[i]!)
    }
    return out
  }
}
