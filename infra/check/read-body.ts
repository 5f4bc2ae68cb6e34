// The structure of an HCL file: which names are arguments, which are blocks, where they stand. HashiCorp's own parser says
// whether a file is well-formed and takes expressions apart; what it gives for whole files no longer tells `a = [{}]` from
// `a {}`, and a provider takes only one of them.

export interface Argument {
  name: string
  /** Source text of what stands right of the equals sign. */
  expression: string
  line: number
}

export interface Block {
  type: string
  labels: string[]
  body: Body
  line: number
}

export interface Body {
  arguments: Argument[]
  blocks: Block[]
}

const NAME = /[A-Za-z_][A-Za-z0-9_-]*/y
const HEREDOC = /<<-?([A-Za-z_][A-Za-z0-9_-]*)\n/y

/**
 * Reads a file that HashiCorp's parser has accepted.
 *
 * @throws Error where it meets what it does not know; then this reader is wrong, or the file was not parsed before.
 */
export function readBody(text: string): Body {
  const reader = new Reader(text)
  const body = reader.body()
  if (!reader.atEnd) throw new Error(`line ${reader.line}: expected a name, and nothing follows it`)
  return body
}

class Reader {
  #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length
  }

  get line(): number {
    return this.#text.slice(0, this.#at).split('\n').length
  }

  /** Up to the end of the text, or to a closing brace that it leaves. */
  body(): Body {
    const body: Body = { arguments: [], blocks: [] }
    for (;;) {
      this.#skipBlank(true)
      if (this.atEnd || this.#next('}')) return body
      const { line } = this
      const name = this.#name()
      this.#skipBlank(false)
      if (this.#take('=')) body.arguments.push({ name, expression: this.#expression(), line })
      else body.blocks.push({ type: name, labels: this.#labels(), body: this.#nested(), line })
    }
  }

  #nested(): Body {
    const body = this.body()
    if (!this.#take('}')) throw new Error(`line ${this.line}: a block is not closed`)
    return body
  }

  #labels(): string[] {
    const labels: string[] = []
    for (;;) {
      this.#skipBlank(false)
      if (this.#take('{')) return labels
      const start = this.#at
      if (this.#next('"')) {
        this.#skipString()
        labels.push(this.#text.slice(start + 1, this.#at - 1))
      } else labels.push(this.#name())
    }
  }

  #expression(): string {
    this.#skipBlank(false)
    const start = this.#at
    for (let depth = 0; !this.atEnd; ) {
      const character = this.#text[this.#at]!
      if (depth === 0 && (character === '\n' || character === '}')) break
      if (depth === 0 && this.#comment()) break
      if (this.#skipComment() || this.#skipHeredoc()) continue
      if (character === '"') {
        this.#skipString()
        continue
      }
      if ('([{'.includes(character)) depth += 1
      if (')]}'.includes(character)) depth -= 1
      this.#at += 1
    }
    return this.#text.slice(start, this.#at).trimEnd()
  }

  #skipString(): void {
    for (this.#at += 1; !this.atEnd; ) {
      const two = this.#text.slice(this.#at, this.#at + 2)
      if (two[0] === '"') {
        this.#at += 1
        return
      }
      if (two === '$$' || two === '%%' || two[0] === '\\') this.#at += 2
      else if (two === '${' || two === '%{') this.#skipTemplate()
      else this.#at += 1
    }
    throw new Error('a string is not closed')
  }

  #skipTemplate(): void {
    this.#at += 2
    for (let depth = 1; depth > 0 && !this.atEnd; ) {
      const character = this.#text[this.#at]!
      if (character === '"') {
        this.#skipString()
        continue
      }
      if (character === '{') depth += 1
      if (character === '}') depth -= 1
      this.#at += 1
    }
  }

  #skipHeredoc(): boolean {
    HEREDOC.lastIndex = this.#at
    const [, mark] = HEREDOC.exec(this.#text) ?? []
    if (mark === undefined) return false
    const end = new RegExp(`^[ \\t]*${mark}$`, 'm')
    const rest = this.#text.slice(HEREDOC.lastIndex)
    const found = end.exec(rest)
    if (!found) throw new Error(`line ${this.line}: heredoc ${mark} is not closed`)
    this.#at = HEREDOC.lastIndex + found.index + found[0].length
    return true
  }

  #skipBlank(lines: boolean): void {
    const blank = lines ? /[ \t\r\n]*/y : /[ \t]*/y
    do {
      blank.lastIndex = this.#at
      blank.exec(this.#text)
      this.#at = blank.lastIndex
    } while (this.#skipComment())
  }

  #comment(): boolean {
    return this.#next('#') || this.#next('//') || this.#next('/*')
  }

  #skipComment(): boolean {
    if (!this.#comment()) return false
    const long = this.#next('/*')
    const end = this.#text.indexOf(long ? '*/' : '\n', this.#at)
    this.#at = end < 0 ? this.#text.length : end + (long ? 2 : 0)
    return true
  }

  #name(): string {
    NAME.lastIndex = this.#at
    const [name] = NAME.exec(this.#text) ?? []
    if (name === undefined) throw new Error(`line ${this.line}: expected a name`)
    this.#at += name.length
    return name
  }

  #next(text: string): boolean {
    return this.#text.startsWith(text, this.#at)
  }

  #take(text: string): boolean {
    if (!this.#next(text)) return false
    this.#at += text.length
    return true
  }
}
