// Counts use by API key while sessions end, and writes it down a little later: no session waits for it. A kill loses the
// last seconds of these sums and nothing else; leaves and meters have their own way to disk.
import type { Log } from './log.ts'
import type { Closing } from './store/step.ts'
import type { Store } from './store/store.ts'
import type { Usage } from './store/usage-rows.ts'

export interface UsageCounterDeps {
  store: Pick<Store, 'runLazy'>
  /** Whole days that are kept. */
  days: number
  log: Log
  now?: () => number
}

const FLUSH_MS = 2_000
const DAY_MS = 86_400_000
/** Callers in one flush: a gateway that was taken over shall not fill memory or disk with names. */
const MAX_CALLERS = 4_096
const OTHERS = 'others'

export class UsageCounter {
  readonly #deps: Required<UsageCounterDeps>
  #sums = new Map<string, Usage>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(deps: UsageCounterDeps) {
    this.#deps = { now: Date.now, ...deps }
  }

  start(): void {
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  /** Takes in a session whose leaf is on disk. Readings, and what a restart closed, are nobody's use. */
  ended({ account, end }: Closing): void {
    if (!account || end.kind === 'read') return
    const day = dayOf(this.#deps.now())
    const named = `${day} ${account.caller}`
    const isMore = !this.#sums.has(named) && this.#sums.size >= MAX_CALLERS
    const caller = isMore ? OTHERS : account.caller
    const key = `${day} ${caller}`
    const sum = this.#sums.get(key) ?? {
      day,
      caller,
      answered: 0,
      aborted: 0,
      input_bytes: 0,
      output_bytes: 0,
    }
    sum.answered += end.kind === 'commit' ? 1 : 0
    sum.aborted += end.kind === 'abort' ? 1 : 0
    sum.input_bytes += account.inputBytes
    sum.output_bytes += outputOf(end)
    this.#sums.set(key, sum)
  }

  /** Writes what was counted; what cannot be written now is with the next. Never throws. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#flush())
    return this.#writing
  }

  /** All that there is, what is not written yet included. */
  async read(): Promise<Usage[]> {
    await this.flush()
    return this.#deps.store.runLazy('usage', undefined)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }

  async #flush(): Promise<void> {
    const sums = this.#sums
    if (sums.size === 0) return
    this.#sums = new Map()
    const { days, log, now, store } = this.#deps
    const since = dayOf(now() - days * DAY_MS)
    try {
      await store.runLazy('addUsage', { rows: [...sums.values()], since })
    } catch (error) {
      log('usage not written yet', { error: (error as Error).message })
      for (const [key, sum] of sums) this.#sums.set(key, added(sum, this.#sums.get(key)))
    }
  }
}

const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10)

function outputOf(end: Closing['end']): number {
  if (end.kind === 'commit') return end.outputBytes
  return end.kind === 'abort' ? Number(end.abort.output_bytes) : 0
}

const added = (a: Usage, b: Usage | undefined): Usage =>
  b
    ? {
        ...a,
        answered: a.answered + b.answered,
        aborted: a.aborted + b.aborted,
        input_bytes: a.input_bytes + b.input_bytes,
        output_bytes: a.output_bytes + b.output_bytes,
      }
    : a
