// The firewall as this process uses it: one `nft -i` that changes and lists, one watch that hears what anybody changed.
// A fence ties the two together: a change of no effect, made by the one and heard by the other, after which the watch
// has heard everything that happened before it.
import { SealedError } from '@sealed/protocol'
import { type Nft, openNft } from './nft.ts'
import { fenceTable, type Heard, Watch, type WatchOptions } from './watch.ts'

/** nft keeps every line that it was given and searches them all at each new one: at this many it is replaced. */
const LINES_PER_PROCESS = 2_000
const FIRST_FENCE_MS = 50
/** How many watches are started, one after the other, until one listens. */
const WATCHES = 3

export class Firewall {
  readonly #options: WatchOptions
  readonly #watch: Watch
  readonly #table: string
  #nft: Nft
  #lines = 0
  #mark = 0

  private constructor(options: WatchOptions, nft: Nft, watch: Watch) {
    this.#options = options
    this.#table = fenceTable(options.prefix)
    this.#nft = nft
    this.#watch = watch
  }

  /** Resolves when both processes answer. */
  static async open(options: WatchOptions): Promise<Firewall> {
    const nft = openNft(options)
    try {
      // Before the watch: it reads what there is, then listens, and cannot name what was made in between.
      const [table, set] = [fenceTable(options.prefix), fenceSet(options.prefix)]
      const made = `add table inet ${table}; add set ${set} { type mark; }`
      await nft.request([made, `list set ${set}`], 1)
      for (let attempt = 1; ; attempt += 1) {
        const firewall = new Firewall(options, nft, new Watch(options))
        try {
          await firewall.#listening()
          return firewall
        } catch (error) {
          // What somebody else made in between ends the watch as well, by a warning.
          await firewall.#watch.close()
          if (attempt === WATCHES) throw error
        }
      }
    } catch (error) {
      await nft.close()
      throw error
    }
  }

  /** Sends lines, resolves with as many listed blocks as are asked for; `seal.failed` otherwise. */
  async request(lines: readonly string[], blocks: number): Promise<string[]> {
    this.#lines += lines.length
    return this.#nft.request(lines, blocks)
  }

  /** As `request`, with what was heard of `table` and of everything else before these lines ran. */
  async fenced(
    lines: readonly string[],
    blocks: number,
    table: string,
  ): Promise<{ answers: string[]; heard: Heard }> {
    // Here alone: the first thing that the watch hears of a new process must be its fence, or it would be a stranger's.
    if (this.#lines > LINES_PER_PROCESS) this.#replace()
    const mark = this.#nextMark()
    const passed = this.#watch.passed(mark, table)
    const asked = this.request([this.#fence(mark), ...lines], blocks)
    const [heard, answers] = await Promise.all([passed, asked])
    return { answers, heard }
  }

  async close(): Promise<void> {
    await Promise.all([this.#nft.close(), this.#watch.close()])
  }

  /** The watch listens a moment after it was started: fences are set until one is heard. */
  async #listening(): Promise<void> {
    const mark = this.#nextMark()
    let heard = false
    const passed = this.#watch.passed(mark, this.#table).finally(() => {
      heard = true
    })
    passed.catch(() => undefined)
    while (!heard) {
      await this.request([this.#fence(mark), `list set ${fenceSet(this.#options.prefix)}`], 1)
      await Promise.race([passed, new Promise((resolve) => setTimeout(resolve, FIRST_FENCE_MS))])
    }
    await passed
  }

  #fence(mark: number): string {
    const set = fenceSet(this.#options.prefix)
    return `flush set ${set}; add element ${set} { ${mark} }`
  }

  #nextMark(): number {
    this.#mark = (this.#mark + 1) >>> 0
    return this.#mark
  }

  /** A new process takes the next request; the old one ends when it has answered what it was asked. */
  #replace(): void {
    const old = this.#nft
    this.#nft = openNft(this.#options)
    this.#lines = 0
    void old.drained().then(() => old.close())
  }
}

const fenceSet = (prefix: string): string => `inet ${fenceTable(prefix)} fence`

/** Thrown where nothing was started yet. */
export const notStarted = (): SealedError =>
  new SealedError('seal.failed', 'the seal is not started; call start first')
