// INSECURE: sessions with a machine that was not verified. Judged they are all the same, and what the verdict says is told;
// only nobody is kept from asking. For `@sealed/client/insecure` and for the demo of a machine that cannot seal.
import type { Answer, AskOptions } from './ask.ts'
import { type Attested, type AttestOptions, currentTransportKey, inspect } from './attest.ts'
import { exchange } from './exchange.ts'
import { Gateway } from './gateway.ts'

/** What `attest` returns, whatever the verdict is. */
export async function inspectUnverified(options: AttestOptions): Promise<Attested> {
  const inspection = await inspect(options)
  const { policy, now = Date.now } = options
  const transportKey = currentTransportKey(inspection.document, now())
  return { ...inspection, gateway: new Gateway(options), policy, now, transportKey }
}

/** As `ask`, of any machine, and with any receipt. */
export const askUnverified = (options: AskOptions): Promise<Answer> =>
  exchange({ ...options, verdict: 'report' })
