// Every check of a receipt, each failed by a lie of its own: signed by the machine where it would have to be, told by
// one without keys elsewhere. Exactly the checks named here, and no others, must see through it.
import { beforeAll, describe, expect, it } from 'vitest'
import { fromBase64url, randomBytes, sha256, toBase64url, toHex, utf8 } from '../bytes.ts'
import { canonicalBytes, parseCanonical } from '../json.ts'
import { quoteBinding } from '../key-set.ts'
import { decodeReceipt } from '../receipt.ts'
import type { Statement } from '../statement.ts'
import { CHECKS, type CheckId } from './checks.ts'
import { type Case, failures, Scene, said, unsaid } from './test-scene.ts'
import { envelopeRequest, makeInput, OUTPUT } from './test-session.ts'
import { createAk } from './test-tpm.ts'
import { HOUR_MS, hexOf, makeDocument, makeReceipt, NOW } from './test-world.ts'

type Parts = Record<'header' | 'input' | 'instructions', string>
const otherRequest = async (s: Scene) =>
  parseCanonical((await envelopeRequest(s.world)).body) as Parts

/** The envelope whose nonce the plain session echoes. */
async function sameNonce(s: Scene) {
  const { body, header } = await envelopeRequest(s.world)
  const envelope = parseCanonical(body) as Parts
  const nonce = s.plain.given.nonce!
  envelope.header = toBase64url(canonicalBytes({ ...header, nonce }))
  return canonicalBytes(envelope)
}

/** A session whose client expected something else, and was told so. */
async function expecting(s: Scene, change: Record<string, string>): Promise<Case> {
  const sent = parseCanonical(s.completed.given.request!) as Parts
  const header = parseCanonical(fromBase64url(sent.header)) as { expect: Record<string, string> }
  Object.assign(header.expect, change)
  const bytes = canonicalBytes(header)
  const { input } = await s.requestWith((envelope) => (envelope.header = toBase64url(bytes)))
  const digest = toHex(await sha256(bytes))
  const told = await s.tell((all) => {
    const received = said(all, 'request.received')
    received.header_digest = digest
    Object.assign(received.expect!, change)
  })
  return { input: { ...told.input, request: input.request! } }
}

const CASES: [lie: string, fails: CheckId[], make: (s: Scene) => Promise<Case>][] = [
  ['no receipt', ['receipt.form'], (s) => s.give({ receipt: '' })],
  ['a receipt with padding', ['receipt.form'], (s) => s.give({ receipt: 'e30=' })],
  [
    'a receipt with a member too many',
    ['receipt.form'],
    async (s) => {
      const { input } = await s.lie({})
      const more = { ...decodeReceipt(input.receipt), extra: 1 }
      return { input: { ...input, receipt: toBase64url(canonicalBytes(more)) } }
    },
  ],
  [
    'a session whose seal was not checked',
    ['receipt.grammar'],
    (s) =>
      s.tell((all) => {
        unsaid(all, 'seal.checked')
      }),
  ],
  ['a session that was cut', ['receipt.grammar'], (s) => s.tell((all) => all.splice(-1))],
  [
    'a receipt for another document of the same machine',
    ['receipt.document'],
    async (s) => s.give({ document: await makeDocument(s.world) }),
  ],
  [
    'a checkpoint by another ledger key',
    ['receipt.checkpoint_signature'],
    async (s) => {
      const other = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])
      const ledger = other as CryptoKeyPair
      return { input: await makeInput({ ...s.world, ledger }, s.completed) }
    },
  ],
  [
    'a checkpoint that the ledger key did not sign',
    ['receipt.checkpoint_signature'],
    async (s) => ({
      input: await makeInput({ ...s.world, sign: async () => randomBytes(64) }, s.completed),
    }),
  ],
  [
    'a checkpoint of another log',
    ['receipt.checkpoint_signature'],
    (s) =>
      s.lie({
        checkpoint: (c) => {
          c.origin = 'sealed/0123456789abcdef'
        },
      }),
  ],
  [
    'a statement changed after the fact',
    ['receipt.inclusion'],
    (s) => s.tamper(({ leaf }) => (said(leaf.statements, 'seal.enforced').tenants = 2)),
  ],
  [
    'another session id',
    ['receipt.inclusion'],
    (s) => s.tamper(({ leaf }) => (leaf.session = '00'.repeat(16))),
  ],
  ['another index', ['receipt.inclusion'], (s) => s.tamper((r) => (r.index = 4))],
  ['an index beyond the log', ['receipt.inclusion'], (s) => s.tamper((r) => (r.index = 11))],
  ['a path that is too short', ['receipt.inclusion'], (s) => s.tamper((r) => r.path.pop())],
  [
    'a path that is too long',
    ['receipt.inclusion'],
    (s) => s.tamper((r) => r.path.push(r.path[0]!)),
  ],
  [
    'an old checkpoint with its own quote',
    ['receipt.inclusion'],
    (s) =>
      s.tamper(async (r) => {
        const old = await makeReceipt(s.world, s.aborted.statements)
        r.checkpoint = old.receipt.checkpoint
        r.quote = old.receipt.quote
      }),
  ],
  [
    'an old checkpoint under the new quote',
    ['receipt.inclusion', 'receipt.quote_binding'],
    (s) =>
      s.tamper(async (r) => {
        r.checkpoint = (await makeReceipt(s.world, s.aborted.statements)).receipt.checkpoint
      }),
  ],
  [
    'the quote of another attestation key',
    ['receipt.quote_signature'],
    async (s) => s.lie({ receiptAk: await createAk() }),
  ],
  [
    'a quote over fewer PCRs',
    ['receipt.quote_selection'],
    (s) => s.lie({ receiptQuote: { pcrs: new Map([[14, new Uint8Array(32)]]) } }),
  ],
  [
    'the document’s quote used again',
    ['receipt.quote_binding'],
    (s) => s.tamper((r, d) => (r.quote = d.quote)),
  ],
  [
    'a quote that binds the checkpoint as a challenge',
    ['receipt.quote_binding'],
    async (s) =>
      s.lie({ receiptQuote: { extraData: await quoteBinding('challenge', s.world.k, s.world.k) } }),
  ],
  ['a quote after a reset', ['receipt.boot'], (s) => s.lie({ receiptQuote: { resetCount: 8 } })],
  [
    'a quote after a restart',
    ['receipt.boot'],
    (s) => s.lie({ receiptQuote: { restartCount: 2 } }),
  ],
  [
    'a document of an earlier boot',
    ['receipt.boot'],
    (s) => s.lie({ documentQuote: { resetCount: 6 } }),
  ],
  [
    'a document of an earlier restart',
    ['receipt.boot'],
    (s) => s.lie({ documentQuote: { restartCount: 0 } }),
  ],
  [
    'a checkpoint of another boot',
    ['receipt.boot'],
    (s) => s.lie({ checkpoint: (c) => (c.resetCount += 1) }),
  ],
  [
    'a checkpoint that names another attestation key',
    ['receipt.boot'],
    (s) => s.lie({ checkpoint: (c) => (c.akName = `000b${hexOf(5)}`) }),
  ],
  [
    'a workload file that was not measured',
    ['receipt.configuration'],
    (s) => s.tell((all) => (said(all, 'request.received').workload_digest = hexOf(0xa5))),
  ],
  [
    'another image than measured',
    ['receipt.configuration'],
    (s) => s.tell((all) => (said(all, 'seal.enforced').image = hexOf(0xa5))),
  ],
  [
    'a looser seal than measured',
    ['receipt.configuration'],
    (s) => {
      const loose = (all: Statement[]) => {
        const epoch = '00'.repeat(16)
        Object.assign(said(all, 'seal.enforced'), { epoch, policy: 'permanent' })
        const kept = { ...said(all, 'seal.released'), epoch, sessions_overlapping: 0, tenants: 1 }
        all[all.length - 2] = { ...kept, type: 'seal.kept' }
      }
      return s.lie({ statements: loose }, { seal_policies: ['request', 'permanent'] })
    },
  ],
  [
    'a probe that got through',
    ['receipt.configuration'],
    (s) => s.tell((all) => (said(all, 'seal.enforced').probes.reached = 1)),
  ],
  [
    'a ruleset that changed during the session',
    ['receipt.configuration'],
    (s) => s.tell((all) => (said(all, 'seal.checked').ruleset_digest = hexOf(1))),
  ],
  [
    'a session that was not metered',
    ['receipt.metering'],
    (s) =>
      s.tell((all) => {
        said(all, 'registry.applied').metered = false
        unsaid(all, 'activations.observed')
      }),
  ],
  [
    'metered without activations',
    ['receipt.metering'],
    (s) =>
      s.tell((all) => {
        unsaid(all, 'activations.observed')
      }),
  ],
  [
    'a transport key that the document does not list',
    ['receipt.transport_key', 'receipt.request'],
    (s) => s.tell((all) => (said(all, 'request.received').transport_key = hexOf(2))),
  ],
  [
    'a transport key before its time',
    ['receipt.transport_key'],
    (s) => s.tell((all) => (said(all, 'request.received').utc_ms = NOW - HOUR_MS - 1)),
  ],
  [
    'a transport key after its time',
    ['receipt.transport_key'],
    (s) =>
      s.lie({
        statements: (all) => {
          for (const statement of all) statement.utc_ms += HOUR_MS + 1
        },
        checkpoint: (c) => {
          c.utcMs = NOW + 2 * HOUR_MS
        },
      }),
  ],
  [
    'another envelope',
    ['receipt.request', 'receipt.nonce'],
    async (s) => s.give({ request: utf8((await envelopeRequest(s.world)).body) }),
  ],
  ['a plain body', ['receipt.request'], (s) => s.give({ input: utf8('{}') })],
  [
    'no envelope at all',
    ['receipt.request', 'receipt.nonce'],
    (s) => s.give({ request: utf8('{}') }),
  ],
  [
    'the input of another envelope',
    ['receipt.request'],
    async (s) => {
      const { input } = await otherRequest(s)
      return s.requestWith((envelope) => (envelope.input = input))
    },
  ],
  [
    'the instructions of another envelope',
    ['receipt.request'],
    async (s) => {
      const { instructions } = await otherRequest(s)
      return s.requestWith((envelope) => (envelope.instructions = instructions))
    },
  ],
  [
    'expectations that were not echoed',
    ['receipt.request'],
    (s) => s.tell((all) => (said(all, 'request.received').expect!.metering = 'optional')),
  ],
  [
    'an envelope that expected another key set',
    ['receipt.request'],
    (s) => expecting(s, { key_set: hexOf(7) }),
  ],
  [
    'another endpoint',
    ['receipt.request'],
    (s) => s.tell((all) => (said(all, 'request.received').endpoint = '/v1/chat/completions')),
  ],
  [
    'another workload of the same machine',
    ['receipt.request'],
    (s) =>
      s.configured((c) => c.workloads.push({ ...c.workloads[0]!, name: 'other' }), {
        statements: (all) => {
          said(all, 'request.received').workload = 'other'
        },
      }),
  ],
  [
    'a plain receipt for an envelope',
    ['receipt.request'],
    async (s) => ({
      input: { ...(await makeInput(s.world, s.plain)), request: await sameNonce(s) },
    }),
  ],
  [
    'another body',
    ['receipt.request'],
    (s) => s.give({ input: utf8('{"prompt":"hullo"}') }, s.plain),
  ],
  [
    'another nonce',
    ['receipt.nonce'],
    (s) => s.tell((all) => (said(all, 'request.received').nonce = toBase64url(randomBytes(32)))),
  ],
  [
    'no nonce',
    ['receipt.nonce'],
    (s) => s.tell((all) => delete said(all, 'request.received').nonce),
  ],
  ['another nonce at the plain door', ['receipt.nonce'], (s) => s.give({ nonce: 'AAAA' }, s.plain)],
  [
    'an output with one byte changed',
    ['receipt.output'],
    (s) => s.give({ output: utf8('{"choices":[ }') }),
  ],
  [
    'an output with one byte less',
    ['receipt.output'],
    (s) => s.give({ output: OUTPUT.slice(0, -1) }),
  ],
  [
    'an output of another length than stated',
    ['receipt.output'],
    (s) => s.tell((all) => (said(all, 'output.committed').output_bytes += 1)),
  ],
  ['another salt', ['receipt.output'], (s) => s.give({ salt: randomBytes(32) })],
  [
    'an output of an aborted session',
    ['receipt.output'],
    (s) => s.give({ output: OUTPUT }, s.aborted),
  ],
  [
    'an output that was committed in a session that was then aborted',
    ['receipt.output'],
    (s) =>
      s.tell((all) => {
        unsaid(all, 'response.released')
        const { seq, utc_ms, mono_us } = all.pop()!
        const common = { seq, utc_ms, mono_us, output_bytes: OUTPUT.length } as const
        all.push({ ...common, type: 'session.aborted', at: 'committed', reason: 'seal.failed' })
      }),
  ],
  ['another reading', ['receipt.output'], (s) => s.give({ output: utf8('{}') }, s.reading)],
  [
    'a checkpoint earlier than its statements',
    ['receipt.time'],
    (s) => s.lie({ checkpoint: (c) => (c.utcMs = NOW - 1) }),
  ],
  [
    'one statement later than the checkpoint',
    ['receipt.time'],
    (s) => s.tell((all) => (all.at(-1)!.utc_ms = NOW + 60_000)),
  ],
  [
    'a checkpoint that is too old',
    ['receipt.time'],
    async (s) => ({ ...(await s.under({ max_age_ms: 60_000 })), now: NOW + 61_000 }),
  ],
  [
    'a checkpoint from the future',
    ['receipt.time'],
    async (s) => ({ ...(await s.under({ max_age_ms: 60_000 })), now: NOW - 61_000 }),
  ],
]

describe('a lie', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await Scene.create()
  })

  it.each(CASES)('%s fails %j', async (_lie, fails, make) => {
    const verdict = await scene.judge(await make(scene))
    expect(failures(verdict)).toEqual(fails)
    expect(verdict.outcome).toBe('failed')
  })

  it('is told here about every check that can fail', () => {
    const never = ['receipt.fork']
    const told = new Set<string>([...CASES.flatMap(([, fails]) => fails), ...never])
    for (const id of Object.keys(CHECKS).filter((id) => id.startsWith('receipt.')))
      expect(told).toContain(id)
  })
})
