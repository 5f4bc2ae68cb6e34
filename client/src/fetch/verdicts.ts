// The verdict that belongs to a Response, known at once for a whole answer and at its end for one that is streamed.
import { SealedError, type Verdict } from '@sealed/protocol'

const verdicts = new WeakMap<Response, Promise<Verdict>>()

/**
 * The verdict on the session that a Response of a sealed fetch came from, good or bad; of a streamed one once its body
 * has ended. Rejects with what went wrong where none was reached, as for an answer that was cut, and with
 * `request.invalid` for any other Response.
 */
export function verdictOf(response: Response): Promise<Verdict> {
  return (
    verdicts.get(response) ??
    Promise.reject(
      new SealedError('request.invalid', 'no verdict belongs to this Response: it was not sealed'),
    )
  )
}

export function keepVerdict(response: Response, verdict: Promise<Verdict>): Response {
  verdict.catch(() => {}) // for who asks; nobody need ask
  verdicts.set(response, verdict)
  return response
}
