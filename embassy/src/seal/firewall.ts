// The firewall as this process uses it: one `nft -i` that changes and lists, one watch that hears what anybody changed.
// A fence ties the two together: a change of no effect, made by the one and heard by the other, after which the watch
// has heard everything that happened before it. What is asked while one round is under way shares the next, and its fence.
import { SealedError } from '@sealed/protocol'
import type { Listing } from './listing.ts'
import { type Nft, openNft } from './nft.ts'
import { fence, type Heard, MARKS, Watch, type WatchOptions } from './watch.ts'

/** nft keeps every line that it was given and searches them all at each new one: at this many it is replaced. */
const LINES_PER_PROCESS = 500
const FIRST_FENCE_MS = 50
/** A watch reads everything that others have in the firewall before it listens. */
const LISTENING_MS = 20_000
/** How many watches are started, one after the other, until one listens. */
const WATCHES = 3

export interface Answered {
  listings: Listing[]
  /** What had been heard before the lines ran; of nothing where no table was named. */
  heard: Heard
}
interface Asked {
  readonly lines: readonly string[]
  readonly count: number
  readonly table: string | undefined
  readonly answer: PromiseWithResolvers<Answered>
}

export class Firewall {
  readonly #options: WatchOptions
  readonly #watch: Watch
  #nft: Nft
  #asked: Asked[] = []
  #working = false
  #lines = 0
  #mark = 0

  private constructor(options: WatchOptions, nft: Nft, watch: Watch) {
    this.#options = options
    this.#nft = nft
    this.#watch = watch
  }

  /** Resolves when both processes answer. */
  static async open(options: WatchOptions): Promise<Firewall> {
    const nft = openNft(options)
    try {
      // Before the watch: it reads what there is, then listens, and cannot name what was made in between.
      const table = `table inet ${options.fences}`
      await nft.request([`add ${table}`, `list ${table}`], 1)
      for (let attempt = 1; ; attempt += 1) {
        const firewall = new Firewall(options, nft, new Watch(options))
        try {
          await firewall.#listening(`list ${table}`)
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

  /** Sends lines, resolves with as many listings as are asked for; `seal.failed` otherwise. */
  async request(lines: readonly string[], count: number): Promise<Listing[]> {
    return (await this.#ask(lines, count, undefined)).listings
  }

  /** As `request`, with what was heard of `table` and of everything else before these lines ran. */
  fenced(lines: readonly string[], count: number, table: string): Promise<Answered> {
    return this.#ask(lines, count, table)
  }

  async close(): Promise<void> {
    await Promise.all([this.#nft.close(), this.#watch.close()])
  }

  #ask(lines: readonly string[], count: number, table: string | undefined): Promise<Answered> {
    const answer = Promise.withResolvers<Answered>()
    this.#asked.push({ lines, count, table, answer })
    void this.#work()
    return answer.promise
  }

  async #work(): Promise<void> {
    if (this.#working) return
    this.#working = true
    while (this.#asked.length > 0) {
      const round = this.#asked.splice(0)
      await this.#round(round).catch((error: Error) => {
        for (const { answer } of round) answer.reject(error)
      })
    }
    this.#working = false
  }

  async #round(round: readonly Asked[]): Promise<void> {
    const fenced = round.some(({ table }) => table !== undefined)
    // Here alone: the first thing that the watch hears of a new process must be its fence, or it would be a stranger's.
    if (fenced && this.#lines > LINES_PER_PROCESS) await this.#replace()
    const lines = round.flatMap((asked) => asked.lines)
    const count = round.reduce((sum, asked) => sum + asked.count, 0)
    this.#lines += lines.length + 1
    const mark = this.#nextMark()
    const passed = fenced ? this.#watch.passed(mark) : undefined
    const sent = fenced ? [fence(this.#options.fences, mark), ...lines] : lines
    const [heard, listings] = await Promise.all([passed, this.#nft.request(sent, count)])
    for (const asked of round)
      asked.answer.resolve({
        listings: listings.splice(0, asked.count),
        heard: { others: heard?.others ?? 0, touched: heard?.touched.get(asked.table ?? '') ?? 0 },
      })
  }

  /** The watch listens a moment after it was started: fences are set until one is heard. */
  async #listening(list: string): Promise<void> {
    const mark = this.#nextMark()
    let heard = false
    const passed = this.#watch.passed(mark, LISTENING_MS).finally(() => {
      heard = true
    })
    passed.catch(() => undefined)
    while (!heard) {
      await this.#nft.request([fence(this.#options.fences, mark), list], 1)
      await Promise.race([passed, new Promise((resolve) => setTimeout(resolve, FIRST_FENCE_MS))])
    }
    await passed
  }

  #nextMark(): number {
    this.#mark = (this.#mark + 1) % MARKS
    return this.#mark
  }

  /** Between rounds, when nothing is asked of the old process any more. */
  async #replace(): Promise<void> {
    await this.#nft.close()
    this.#nft = openNft(this.#options)
    this.#lines = 0
  }
}

/** Thrown where nothing was started yet. */
export const notStarted = (): SealedError =>
  new SealedError('seal.failed', 'the seal is not started; call start first')
