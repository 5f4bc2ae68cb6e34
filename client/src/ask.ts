// One sealed computation from the client's side: envelope, answer, receipt, verdict. Nothing is sent to a machine that
// was not verified, and nothing is sent again once a key may have been revealed.
import type { Bytes, EnvelopeHeader, HeadFrame, Verdict } from '@sealed/protocol'
import type { Attested } from './attest.ts'
import type { Instruct } from './authority.ts'
import { exchange } from './exchange.ts'
import { type Evidence, VerdictError } from './failure.ts'
import type { RetryOptions } from './retry.ts'

export { selectWorkload } from './exchange.ts'

/** What happened, in the order in which it did. */
export type SessionEvent =
  | { type: 'prepared'; header: EnvelopeHeader; bytes: number; attempt: number }
  | { type: 'refused'; code: string; message: string; retryAfterMs: number }
  | { type: 'admitted'; receiptId: string | undefined }
  | { type: 'head'; head: HeadFrame }
  | { type: 'data'; bytes: Bytes }
  | { type: 'judged'; verdict: Verdict; receipt: string }

export interface AskOptions {
  attested: Attested
  /** Name of a workload of the document; may be left out while there is only one. */
  workload?: string
  endpoint: string
  /** The input that the workload gets. Empty for a reading. */
  body: Uint8Array
  /** Asks for the output as it comes; it is still judged as a whole, at its end. */
  stream?: boolean
  /** Instead of the gateway's own. */
  apiKey?: string | undefined
  /** Without them nothing is asked of the embassy, which then does what `update` does. */
  instructions?: Instruct
  /** Needed only to return to a replica that is sealed for one tenant for good. */
  tenantSecret?: Uint8Array
  signal?: AbortSignal
  onEvent?: (event: SessionEvent) => void
  /** `require` (default) throws `VerdictError` unless the receipt is verified; `report` returns what came. */
  verdict?: 'require' | 'report'
  retry?: RetryOptions
  maxOutputBytes?: number
}

export interface Answer extends Evidence {
  /** The workload's status and content type. */
  status: number
  contentType: string
  output: Bytes
  receipt: string
  verdict: Verdict
}

/**
 * Asks a workload. Throws `GatewayFailure` with the server's code when the request was refused or its session failed,
 * `VerdictError` when the receipt does not verify, `response.*` when the answer is broken.
 */
export async function ask(options: AskOptions): Promise<Answer> {
  const { verdict } = options.attested
  if (verdict.outcome === 'verified') return exchange(options)
  throw new VerdictError('the gateway was not verified; nothing was sent', verdict)
}
