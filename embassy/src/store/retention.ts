// Keeps receipts for as long as the deployment says and no longer: looks at once and every hour, and deletes in batches
// so small that no session waits for them.
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Store } from './store.ts'

export interface RetentionDeps {
  store: Pick<Store, 'runLazy'>
  /** Whole days that receipts, and what they need, are kept. */
  days: number
  /** Digest of the attestation document in use. */
  document: () => string
  log: Log
  now?: () => number
}

const DAY_MS = 86_400_000
const EVERY_MS = 3_600_000
const BATCH = 50
/** Rest between two batches. */
const PAUSE_MS = 20

export class Retention {
  readonly #deps: RetentionDeps
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  constructor(deps: RetentionDeps) {
    this.#deps = deps
  }

  /** Prunes now, in the background, and every hour. */
  start(): void {
    const again = () => {
      this.#running ??= this.run()
        .catch((error: Error) =>
          this.#deps.log('old receipts not deleted', { error: error.message }),
        )
        .finally(() => {
          this.#running = undefined
        })
    }
    again()
    this.#timer = setInterval(again, EVERY_MS)
  }

  /** Deletes all that is old by now. */
  async run(): Promise<void> {
    const { days, document, log, now = Date.now, store } = this.#deps
    const beforeMs = now() - days * DAY_MS
    let [leaves, documents] = [0, 0]
    while (!this.#stop.signal.aborted) {
      const asked = { beforeMs, document: document(), limit: BATCH }
      const pruned = await store.runLazy('prune', asked)
      leaves += pruned.leaves
      documents += pruned.documents
      if (!pruned.more) break
      await delay(PAUSE_MS)
    }
    if (leaves + documents > 0) log('old receipts deleted', { documents, leaves })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    clearInterval(this.#timer)
    await this.#running
  }
}
