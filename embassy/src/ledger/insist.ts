// What must be in the log is tried again until it is: after a failure, once the ledger is able. The next start of the
// embassy does it otherwise.
import { setTimeout as delay } from 'node:timers/promises'
import { SealedError } from '@sealed/protocol'
import type { Ledger } from './ledger.ts'

const AGAIN_MS = 500

/** Resolves when it was written, or was closed before. */
export async function insist(
  ledger: Pick<Ledger, 'able'>,
  write: () => Promise<unknown>,
): Promise<void> {
  for (;;) {
    if (ledger.able)
      try {
        await write()
        return
      } catch (error) {
        if (error instanceof SealedError && error.code === 'session.aborted') return
      }
    await delay(AGAIN_MS, undefined, { ref: false })
  }
}
