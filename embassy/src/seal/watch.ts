// Hears of every change of the firewall from the kernel, through one `nft monitor`, so that nobody has to read the whole
// ruleset back to know that it is still what it was. It remembers only that something changed, never what it became.
// After any failure it is dead for good; the owner opens a new one.
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { SealedError } from '@sealed/protocol'
import { startNft } from './tools.ts'

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
  /** The table that fences are set in: it is there already, or made for that. One more would cost time at each change. */
  readonly fences: string
}

/** What had been heard when a fence was, by table. */
export interface Passed {
  readonly others: number
  readonly touched: ReadonlyMap<string, number>
}

/** How many marks there are by which a fence is told from every other change: one fence is under way at a time. */
export const MARKS = 16

/**
 * The change of no effect: a chain without rules or hook is added where it is already, which nft does without reading
 * anything of the ruleset but the names of tables.
 */
export const fence = (table: string, mark: number): string => `add chain inet ${table} m${mark}`

const NEW_GENERATION = /^# new generation \d+ by process (\d+) /
const TABLE = /\b(?:inet|netdev) (\S+)/

export class Watch {
  readonly #options: WatchOptions
  readonly #child: ChildProcessWithoutNullStreams
  readonly #exited: Promise<void>
  #fence: { line: string; answer: PromiseWithResolvers<Passed> } | undefined
  readonly #touched = new Map<string, number>()
  #others = 0
  /** The firewall process as the kernel numbers it, told by its first fence. */
  #own: string | undefined
  #block: string[] = []
  #text = ''
  #failure: SealedError | undefined

  constructor(options: WatchOptions) {
    this.#options = options
    const child = startNft(options.namespace, 'monitor')
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

  /**
   * Resolves when the fence with this mark has been heard, with all that was heard before it; else `seal.failed`. Nothing
   * of it outlives its answer: one is set for every session, and the watch lives as long as the machine.
   */
  async passed(mark: number, timeoutMs = this.#options.timeoutMs): Promise<Passed> {
    if (this.#failure) throw this.#failure
    const answer = Promise.withResolvers<Passed>()
    this.#fence = { line: fence(this.#options.fences, mark), answer }
    const timer = setTimeout(
      () => this.#fail(`did not hear of a change within ${timeoutMs} ms`),
      timeoutMs,
    )
    try {
      return await answer.promise
    } finally {
      clearTimeout(timer)
      this.#fence = undefined
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
    const fence = this.#fence
    const passed = fence !== undefined && block.includes(fence.line)
    if (passed) this.#own = process
    if (process !== this.#own) {
      this.#others += 1
      for (const line of block) {
        const table = TABLE.exec(line)?.[1]
        if (table?.startsWith(this.#options.prefix))
          this.#touched.set(table, (this.#touched.get(table) ?? 0) + 1)
      }
    }
    if (passed) fence.answer.resolve({ others: this.#others, touched: new Map(this.#touched) })
  }

  #fail(reason: string): void {
    if (this.#failure) return
    this.#failure = new SealedError(
      'seal.failed',
      `the firewall's watch ${reason.trim()}; no replica is provably sealed until it has been replaced`,
    )
    this.#child.kill('SIGKILL')
    this.#fence?.answer.reject(this.#failure)
  }
}
