// Verdicts over whole bundles, honest and not, against what the second verifier says: check by check, not only overall.
import { describe, expect, test } from 'vitest'
import verdicts from '../../vectors/verdict.json' with { type: 'json' }
import type { AttestationAnswer, AttestationDocument } from '../attestation.ts'
import { fromBase64url } from '../bytes.ts'
import { canonicalize } from '../json.ts'
import { parsePolicy } from '../policy.ts'
import { encodeReceipt, type Receipt } from '../receipt.ts'
import { CHECKS } from '../verify/checks.ts'
import { type ReceiptInput, type Verdict, verifyReceipt } from '../verify/verify-receipt.ts'
import { type Edit, edited } from './run.ts'

interface Bundle {
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

function verify(bundle: Bundle): Promise<Verdict> {
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
  return verifyReceipt(input, parsePolicy(canonicalize(bundle.policy)), bundle.now_ms)
}

const base = verdicts.base as unknown as Bundle
for (const { name, edits, expect: expected } of verdicts.cases)
  test(`verdict: ${expected.outcome}: ${name}`, async () => {
    const { checks, outcome } = await verify(edited(base, edits as Edit[]))
    const ids = (wanted: string) =>
      checks.filter(({ result }) => result === wanted).map(({ id }) => id)
    expect({ failed: ids('fail'), outcome, skipped: ids('skip') }).toEqual(expected)
    expect(checks.map(({ id }) => id)).toEqual(Object.keys(CHECKS))
  })

describe('the vectors', () => {
  test('hold a lie for every check there is', () => {
    const lies = new Set(verdicts.cases.flatMap(({ expect: { failed } }) => failed as string[]))
    expect([...lies].sort()).toEqual(Object.keys(CHECKS).sort())
  })
})
