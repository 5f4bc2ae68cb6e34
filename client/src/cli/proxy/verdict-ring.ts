// The latest verdicts, newest first, for `GET /verdicts`: bounded, in memory, without contents or keys.
import { SealedError, type Verdict } from '@sealed/protocol'
import { readErrorBody } from '../../failure.ts'
import { verdictOf } from '../../fetch/verdicts.ts'

/** What became of one request that was to be sealed. */
export interface Entry {
  id: string
  at_ms: number
  path: string
  status: number
  /** `none` where no verdict was reached: refused before it was sent, cut, or given up. */
  outcome: Verdict['outcome'] | 'none'
  receipt_id: string | null
  /** Ids of the checks that failed, and of those that were required and could not be made. */
  failed: string[]
  /** What went wrong, where something did. */
  code: string | null
}

const KEPT = 256

export class VerdictRing {
  readonly #entries: Entry[] = []

  add(entry: Entry): void {
    this.#entries.push(entry)
    if (this.#entries.length > KEPT) this.#entries.shift()
  }

  list(): Entry[] {
    return this.#entries.toReversed()
  }
}

/** What a sealed fetch's Response came to; settles when its body has ended. */
export async function outcomeOf(
  response: Response,
): Promise<Pick<Entry, 'outcome' | 'failed' | 'code'>> {
  const said = response.status < 400 ? undefined : readErrorBody(await response.clone().text())
  try {
    const { checks, outcome } = await verdictOf(response)
    const failed = checks.filter(
      ({ required, result }) => result === 'fail' || (required && result === 'skip'),
    )
    return { outcome, failed: failed.map(({ id }) => id), code: said?.code ?? null }
  } catch (error) {
    const code = error instanceof SealedError ? error.code : 'internal.error'
    return { outcome: 'none', failed: [], code: said?.code ?? code }
  }
}
