// What is timed in every runtime: one real session's receipt with all that was kept of it, verified over and over.
import {
  fromBase64url,
  KnownDocument,
  parseAttestationDocument,
  parsePolicy,
  utf8,
  verifyReceipt,
} from '@sealed/protocol'
import vector from '../../protocol/vectors/session.json' with { type: 'json' }

/** `warm`: its document was judged before, for another receipt; `cold`: judged again each time. */
export type Kind = 'warm' | 'cold'

const NOW = vector.now_ms
const policy = parsePolicy(JSON.stringify(vector.policy))
const document = parseAttestationDocument(utf8(vector.document))
const session = {
  receipt: vector.receipt,
  request: utf8(vector.request),
  output: utf8(vector.response),
  salt: fromBase64url(vector.salt),
}
const known = new KnownDocument(document, policy)

export async function verifyTimes(kind: Kind, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const verdict =
      kind === 'warm'
        ? await known.verify(session, NOW)
        : await verifyReceipt({ ...session, document }, policy, NOW)
    if (verdict.outcome !== 'verified') throw new Error(`the receipt is ${verdict.outcome}`)
  }
}
