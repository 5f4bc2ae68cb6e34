// Tries again what may go better the next time: a registry or a metadata server that does not answer yet. What would be
// refused again is refused at once.
import { setTimeout as delay } from 'node:timers/promises'
import { SealedError } from '@sealed/protocol'

const PAUSE_MS = 15_000

/** Throws what the last attempt threw. */
export async function persist(
  attempt: () => Promise<void>,
  attempts: number,
  pauseMs = PAUSE_MS,
): Promise<void> {
  for (let left = attempts; ; left--) {
    try {
      return await attempt()
    } catch (error) {
      const passing = error instanceof SealedError && error.code === 'launch.unavailable'
      if (!passing || left <= 1) throw error
      await delay(pauseMs)
    }
  }
}
