// One real session, and every way to spoil it: each spoils the check that is there for it, and nothing spoilt verifies.
import { describe, expect, test } from 'vitest'
import vector from '../../vectors/session.json' with { type: 'json' }
import { parseAttestationDocument, type QuotedDocument } from '../attestation.ts'
import { fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import { canonicalBytes, canonicalize } from '../json.ts'
import { type Policy, parsePolicy, STRICT_POLICY } from '../policy.ts'
import { decodeReceipt, type QuotedReceipt } from '../receipt.ts'
import type { CheckId } from './checks.ts'
import { type ReceiptInput, verifyDocument, verifyReceipt } from './verify-receipt.ts'

const policy: Policy = parsePolicy(JSON.stringify(vector.policy))
const NOW = vector.now_ms
const good = (): ReceiptInput & { document: QuotedDocument } => ({
  document: parseAttestationDocument(utf8(vector.document)) as QuotedDocument,
  receipt: vector.receipt,
  request: utf8(vector.request),
  salt: fromBase64url(vector.salt),
  output: utf8(vector.response),
})

async function failed(input: ReceiptInput, by: Policy = policy, now = NOW): Promise<CheckId[]> {
  const { outcome, checks } = await verifyReceipt(input, by, now)
  expect(outcome).toBe('failed')
  return checks.filter(({ result }) => result === 'fail').map(({ id }) => id as CheckId)
}
function withReceipt(change: (receipt: QuotedReceipt) => void): ReceiptInput {
  const receipt = decodeReceipt(vector.receipt) as QuotedReceipt
  change(receipt)
  return { ...good(), receipt: toBase64url(canonicalBytes(receipt)) }
}
function withDocument(change: (document: QuotedDocument) => void): ReceiptInput {
  const input = good()
  change(input.document)
  return input
}
const flip = (encoded: string, bit = 80): string => {
  const bytes = fromBase64url(encoded)
  bytes[bit >> 3]! ^= 1 << (bit & 7)
  return toBase64url(bytes)
}

describe('a real session', () => {
  test('verifies, and says what was not looked at', async () => {
    const { outcome, checks, claims } = await verifyReceipt(good(), policy, NOW)
    expect(checks.filter(({ result }) => result === 'fail')).toEqual([])
    expect(outcome).toBe('verified')
    expect(claims).toMatchObject({
      door: 'envelope',
      result: 'completed',
      time: 'claimed',
      fork: 'skipped',
    })
    expect(checks.filter(({ result }) => result === 'skip').map(({ id }) => id)).toEqual([
      'document.pcr_reference',
      'document.event_log',
      'document.boot_application',
      'document.tee_form',
      'document.tee_chain',
      'document.tee_signature',
      'document.tee_binding',
      'document.tee_tcb',
      'document.tee_guest',
      'document.tee_reference',
      'document.tee_event_log',
      'document.challenge',
      'receipt.fork',
    ])
  })

  test('fails under the strict policy, which trusts no software TPM', async () => {
    expect(await failed(good(), STRICT_POLICY)).toContain('document.ak_chain')
  })

  test('is incomplete where a required kind of evidence cannot be judged', async () => {
    for (const evidence of ['event-log', 'sev-snp', 'tdx'] as const) {
      const { outcome } = await verifyReceipt(
        good(),
        { ...policy, evidence: ['tpm', evidence] },
        NOW,
      )
      expect(outcome).toBe('incomplete')
    }
  })
})

const DOCUMENTS: [string, CheckId, (document: QuotedDocument) => void][] = [
  [
    'a PCR value that was relabelled',
    'document.quote_selection',
    (d) => ([d.pcrs[8]!.index, d.pcrs[9]!.index] = [9, 8]),
  ],
  ['a PCR value left out', 'document.quote_selection', (d) => void d.pcrs.pop()],
  ['a PCR that stands twice', 'document.form', (d) => void d.pcrs.push(d.pcrs[0]!)],
  [
    'another key set',
    'document.pcr_key_set',
    (d) => (d.key_set.ledger_key = flip(d.key_set.ledger_key)),
  ],
  [
    'another key set, seen by the quote',
    'document.quote_binding',
    (d) => (d.key_set.tls_spki_digest = 'ab'.repeat(32)),
  ],
  [
    'another configuration',
    'document.pcr_configuration',
    (d) => (d.configuration.metering = 'optional'),
  ],
  [
    'another quote',
    'document.quote_signature',
    (d) => (d.quote.attest = flip(d.quote.attest, 900)),
  ],
  [
    'another signature',
    'document.quote_signature',
    (d) => (d.quote.signature = flip(d.quote.signature, 100)),
  ],
  [
    'an attestation key that is no point of its curve',
    'document.ak',
    (d) => (d.ak.public = flip(d.ak.public, 500)),
  ],
  [
    'an attestation key without its restriction',
    'document.ak',
    (d) => (d.ak.public = flip(d.ak.public, 40)),
  ],
  ['a chain without its root', 'document.ak_chain', (d) => void d.ak.chain.pop()],
  ['a chain out of order', 'document.ak_chain', (d) => void d.ak.chain.reverse()],
  [
    'a leaf certificate with a flipped bit',
    'document.ak_chain',
    (d) => (d.ak.chain[0] = flip(d.ak.chain[0]!, 4000)),
  ],
  [
    'a transport key that nobody signed',
    'document.transport_keys',
    (d) => (d.transport_keys[0]!.not_after_ms += 1),
  ],
  [
    'a transport key under another id',
    'document.transport_keys',
    (d) => (d.transport_keys[0]!.id = 'ab'.repeat(32)),
  ],
]

const RECEIPTS: [string, CheckId, (receipt: QuotedReceipt) => void][] = [
  ['another document', 'receipt.document', (r) => (r.document = 'ab'.repeat(32))],
  ['another place in the log', 'receipt.inclusion', (r) => (r.index -= 1)],
  ['another path', 'receipt.inclusion', (r) => (r.path[0] = flip(r.path[0]!))],
  ['a longer path', 'receipt.inclusion', (r) => void r.path.push(r.path[0]!)],
  [
    'another checkpoint',
    'receipt.checkpoint_signature',
    (r) => (r.checkpoint = r.checkpoint.replace(/time \d/, 'time 2')),
  ],
  [
    'a checkpoint of another origin',
    'receipt.checkpoint_signature',
    (r) => (r.checkpoint = r.checkpoint.replaceAll('sealed/', 'sealed/a')),
  ],
  ['another quote', 'receipt.quote_signature', (r) => (r.quote.attest = flip(r.quote.attest, 500))],
  ['another statement', 'receipt.inclusion', (r) => (r.leaf.statements[0]!.utc_ms -= 1)],
  ['a statement left out', 'receipt.grammar', (r) => void r.leaf.statements.splice(3, 1)],
  [
    'a statement twice',
    'receipt.grammar',
    (r) => void r.leaf.statements.push(r.leaf.statements.at(-1)!),
  ],
  ['statements out of order', 'receipt.grammar', (r) => void r.leaf.statements.reverse()],
  ['statements numbered wrongly', 'receipt.grammar', (r) => (r.leaf.statements[2]!.seq = 7)],
]

describe('what is spoilt fails the check that is there for it', () => {
  test.each(DOCUMENTS)('document: %s (%s)', async (_, id, change) => {
    expect(await failed(withDocument(change))).toContain(id)
  })

  test.each(RECEIPTS)('receipt: %s (%s)', async (_, id, change) => {
    expect(await failed(withReceipt(change))).toContain(id)
  })

  test('the quote of the document in place of the receipt’s: bound to something else', async () => {
    const spoilt = withReceipt((r) => (r.quote = good().document.quote))
    expect(await failed(spoilt)).toEqual(['receipt.quote_binding'])
  })

  test.each<[string, CheckId, Partial<ReceiptInput>]>([
    ['a receipt that is no base64url', 'receipt.form', { receipt: `${vector.receipt}=` }],
    [
      'a receipt with white space',
      'receipt.form',
      { receipt: toBase64url(utf8(` ${new TextDecoder().decode(fromBase64url(vector.receipt))}`)) },
    ],
    ['an output with one byte more', 'receipt.output', { output: utf8(`${vector.response} `) }],
    [
      'an output of the same length',
      'receipt.output',
      { output: utf8(vector.response.replace('a', 'b')) },
    ],
    ['another salt', 'receipt.output', { salt: new Uint8Array(32) }],
    [
      'a request that was not sent',
      'receipt.request',
      { request: utf8(vector.request.replace(/"input":"gAAAAA./, '"input":"gAAAAAb')) },
    ],
  ])('%s (%s)', async (_, id, change) => {
    expect(await failed({ ...good(), ...change })).toContain(id)
  })

  test.each<[string, CheckId, Partial<Policy>]>([
    ['another root', 'document.ak_chain', { ak_roots: ['ab'.repeat(32)] }],
    ['another workload', 'document.configuration', { workloads: ['ab'.repeat(32)] }],
    ['an authority that is missing', 'document.configuration', { authorities: ['ab'.repeat(16)] }],
    ['another seal policy', 'document.configuration', { seal_policies: ['permanent'] }],
    [
      'another reference value',
      'document.pcr_reference',
      { images: [{ name: 'a', pcrs: [{ index: 4, digests: ['ab'.repeat(32)] }], version: '1' }] },
    ],
    ['a receipt of today, looked at tomorrow', 'receipt.time', { max_age_ms: 1 }],
  ])('under a policy that asks for something else: %s (%s)', async (_, id, change) => {
    expect(await failed(good(), { ...policy, ...change }, NOW + 100)).toContain(id)
  })

  test('reference values that are met pass', async () => {
    const { pcrs } = good().document
    const rows = pcrs.map(({ digest, index }) => ({ index, digests: [digest] }))
    const met = { ...policy, images: [{ name: 'a', pcrs: rows, version: '1' }] }
    expect((await verifyReceipt(good(), met, NOW)).outcome).toBe('verified')
  })

  test('a leaf with any one bit flipped', async () => {
    const bytes = fromBase64url(vector.receipt)
    for (let bit = 3; bit < bytes.length * 8; bit += 397) {
      const spoilt = { ...good(), receipt: flip(vector.receipt, bit) }
      expect((await verifyReceipt(spoilt, policy, NOW)).outcome).toBe('failed')
    }
  })
})

test('a challenge that is not the document’s fails', async () => {
  const { quote } = good().document
  const challenge = { nonce: new Uint8Array(32), answer: { index: 0, path: [], quote, size: 1 } }
  const { outcome, checks } = await verifyDocument(
    { document: good().document, challenge },
    policy,
    NOW,
  )
  expect(outcome).toBe('failed')
  expect(checks.filter(({ result }) => result === 'fail').map(({ id }) => id)).toEqual([
    'document.challenge',
  ])
})

test('the vector is canonical', () => {
  expect(canonicalize(JSON.parse(vector.document))).toBe(vector.document)
})
