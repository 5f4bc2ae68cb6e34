// Hears of every change of the firewall from the kernel, through one `nft monitor`, so that nobody has to read the whole
// ruleset back to know that it is still what it was. It remembers only that something changed, never what it became.
// After any failure it is dead for good; the owner opens a new one.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { SealedError } from '@sealed/protocol'
import { inNamespace } from './tools.ts'

/** How often the ruleset was changed by others than the firewall process: at all, and in one of our own tables. */
export interface Heard {
  readonly others: number
  readonly touched: number
}

export interface WatchOptions {
  readonly namespace: string | undefined
  readonly timeoutMs: number
  /** Every table of ours begins with this. */
  readonly prefix: string
}

/** The mark by which a fence is told from every other change; see `Firewall`. */
export type Mark = number

const NEW_GENERATION = /^# new generation \d+ by process (\d+) /
const TABLE = /\b(?:inet|netdev) (\S+)/

export class Watch {
  readonly #options: WatchOptions
  readonly #child: ChildProcessWithoutNullStreams
  readonly #exited: Promise<void>
  readonly #fences = new Map<Mark, () => void>()
  readonly #touched = new Map<string, number>()
  #others = 0
  /** The firewall process as the kernel numbers it, told by its fences; and the one before it, which may still finish. */
  #own: string[] = []
  #block: string[] = []
  #text = ''
  #failure: SealedError | undefined
  #onFailure = Promise.withResolvers<never>()

  constructor(options: WatchOptions) {
    this.#options = options
    this.#onFailure.promise.catch(() => undefined)
    const [command, ...args] = inNamespace(options.namespace, ['stdbuf', '-oL', 'nft', 'monitor'])
    const child = spawn(command, args, { stdio: 'pipe' })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => this.#fail(`says ${chunk}`))
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#fail(`could not be run (${error.message}); install nftables and coreutils`)
        resolve()
      })
      child.once('exit', (code, signal) => {
        this.#fail(`ended (${signal ?? `code ${code}`})`)
        resolve()
      })
    })
  }

  /** Resolves when the fence with this mark has been heard, with all that was heard before it; else `seal.failed`. */
  async passed(mark: Mark, table: string): Promise<Heard> {
    if (this.#failure) throw this.#failure
    const { promise, resolve } = Promise.withResolvers<Heard>()
    this.#fences.set(mark, () =>
      resolve({ others: this.#others, touched: this.#touched.get(table) ?? 0 }),
    )
    const { timeoutMs } = this.#options
    const timer = setTimeout(
      () => this.#fail(`did not hear of a change within ${timeoutMs} ms`),
      timeoutMs,
    )
    try {
      return await Promise.race([promise, this.#onFailure.promise])
    } finally {
      clearTimeout(timer)
      this.#fences.delete(mark)
    }
  }

  async close(): Promise<void> {
    this.#fail('was closed')
    await this.#exited
  }

  #read(chunk: string): void {
    const lines = (this.#text + chunk).split('\n')
    this.#text = lines.pop()!
    for (const line of lines) {
      const process = NEW_GENERATION.exec(line)?.[1]
      if (process !== undefined) this.#generation(process)
      // It lost events: nothing that was read before is certain any more.
      else if (line.startsWith('# ')) this.#others += 1
      else this.#block.push(line)
    }
  }

  #generation(process: string): void {
    const block = this.#block
    this.#block = []
    const mark = this.#markOf(block)
    if (mark !== undefined && this.#own[0] !== process)
      this.#own = [process, ...this.#own.slice(0, 1)]
    if (!this.#own.includes(process)) {
      this.#others += 1
      for (const line of block) {
        const table = TABLE.exec(line)?.[1]
        if (table?.startsWith(this.#options.prefix))
          this.#touched.set(table, (this.#touched.get(table) ?? 0) + 1)
      }
    }
    if (mark !== undefined) this.#fences.get(mark)?.()
  }

  #markOf(block: readonly string[]): Mark | undefined {
    const prefix = `add element inet ${fenceTable(this.#options.prefix)} fence { `
    for (const line of block)
      if (line.startsWith(prefix)) {
        const mark = Number.parseInt(line.slice(prefix.length), 16)
        if (this.#fences.has(mark)) return mark
      }
    return undefined
  }

  #fail(reason: string): void {
    if (this.#failure) return
    this.#failure = new SealedError(
      'seal.failed',
      `the firewall's watch ${reason.trim()}; no replica is provably sealed until it has been replaced`,
    )
    this.#child.kill('SIGKILL')
    this.#onFailure.reject(this.#failure)
  }
}

export const fenceTable = (prefix: string): string => `${prefix}fence`
