// Ends an answer before the first of the sequences at which its client wants it to stop. Never lets go of text that may
// yet turn out to begin one.

export class StopFilter {
  /** A sequence was met: nothing more comes. */
  stopped = false
  readonly #sequences: readonly string[]
  #held = ''

  /** `sequences` are not empty strings. */
  constructor(sequences: readonly string[]) {
    this.#sequences = sequences
  }

  /** Adds text and returns what can be sent of all that was added. */
  push(text: string): string {
    if (this.stopped) return ''
    const all = this.#held + text
    const met = this.#sequences.map((sequence) => all.indexOf(sequence)).filter((at) => at >= 0)
    if (met.length > 0) {
      this.stopped = true
      this.#held = ''
      return all.slice(0, Math.min(...met))
    }
    const from = all.length - this.#begun(all)
    this.#held = all.slice(from)
    return all.slice(0, from)
  }

  /** What was held back for a sequence that never came. */
  rest(): string {
    const rest = this.#held
    this.#held = ''
    return rest
  }

  /** Length of the longest end of `text` that begins a sequence. */
  #begun(text: string): number {
    const longest = Math.max(0, ...this.#sequences.map(({ length }) => length - 1))
    for (let length = Math.min(longest, text.length); length > 0; length--)
      if (this.#sequences.some((sequence) => sequence.startsWith(text.slice(-length))))
        return length
    return 0
  }
}
