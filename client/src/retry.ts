// When to send again: only what was refused at the door, before any key could have been revealed, and only as often
// and as late as the server and the caller allow.
import { GatewayFailure } from './failure.ts'

export interface RetryOptions {
  /** Envelopes sent in all; 1 means never again. Default 3. */
  attempts?: number
  /** Longest wait that is accepted from a server, in milliseconds. Default 30,000. */
  maxWaitMs?: number
  /** Waits; rejects with the signal's reason when that is aborted. */
  pause?: (ms: number, signal?: AbortSignal) => Promise<void>
}

/** Milliseconds to wait before a new envelope, or undefined when this failure is final. */
export function retryDelay(
  error: unknown,
  attempt: number,
  { attempts = 3, maxWaitMs = 30_000 }: RetryOptions = {},
): number | undefined {
  if (!(error instanceof GatewayFailure) || error.evidence) return undefined
  const refused = error.status === 429 || error.status === 503
  const { retryAfterMs } = error
  if (!refused || error.remedy !== 'retry' || retryAfterMs === undefined) return undefined
  return attempt < attempts && retryAfterMs <= maxWaitMs ? retryAfterMs : undefined
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
