// A bundle as the vectors show it, and the verdict over it (tests only).
import type { AttestationAnswer, AttestationDocument } from '../attestation.ts'
import { fromBase64url } from '../bytes.ts'
import { canonicalize } from '../json.ts'
import { type Policy, parsePolicy } from '../policy.ts'
import { encodeReceipt, type Receipt } from '../receipt.ts'
import { type ReceiptInput, type Verdict, verifyReceipt } from '../verify/verify-receipt.ts'

export interface Bundle {
  challenge?: { nonce: string; answer: NonNullable<AttestationAnswer['challenge']> }
  document: AttestationDocument
  input?: string
  nonce?: string
  now_ms: number
  output?: string
  policy: unknown
  proof?: string
  receipt: Receipt | string
  request?: string
  salt?: string
  sent_ms?: number
}

/** Bytes are base64url, the receipt what travels or what that encodes; throws where they are not. */
export function inputOf(bundle: Bundle): ReceiptInput {
  const { challenge, document, nonce, proof, receipt, sent_ms } = bundle
  const input: ReceiptInput = {
    document,
    receipt: typeof receipt === 'string' ? receipt : encodeReceipt(receipt),
  }
  for (const name of ['request', 'input', 'salt', 'output'] as const) {
    const text = bundle[name]
    if (text !== undefined) input[name] = fromBase64url(text)
  }
  if (nonce !== undefined) input.nonce = nonce
  if (proof !== undefined) input.proof = proof
  if (sent_ms !== undefined) input.sentMs = sent_ms
  if (challenge)
    input.challenge = { nonce: fromBase64url(challenge.nonce), answer: challenge.answer }
  return input
}

export const verifyBundle = async (bundle: Bundle): Promise<Verdict> =>
  verifyReceipt(inputOf(bundle), policyOf(bundle), bundle.now_ms)

export const policyOf = ({ policy }: Bundle): Policy => parsePolicy(canonicalize(policy))
