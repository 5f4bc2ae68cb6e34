// Verifies a receipt against its attestation document, and, where they are given, against the very bytes sent and
// received. The verdict is made only after every check has run.
import type { AttestationDocument } from '../attestation.ts'
import { type Bytes, fromBase64url, sha256, sha256Hex, toHex, utf8 } from '../bytes.ts'
import { type Checkpoint, logOrigin, openCheckpoint } from '../checkpoint.ts'
import { type ParsedEnvelope, parseEnvelope } from '../envelope.ts'
import { checkGrammar } from '../grammar.ts'
import { canonicalize } from '../json.ts'
import { leafHash, verifyInclusion } from '../merkle.ts'
import type { Policy } from '../policy.ts'
import { decodeReceipt, leafBytes, type Receipt } from '../receipt.ts'
import { type Statement, type StatementType, saltedDigest } from '../statement.ts'
import { NO_TPM } from '../unsealed.ts'
import { type CheckEntry, Checks, ensure, needs, type Outcome, Refusal, Skip } from './checks.ts'
import { openAttest, quoteBound, quoteOf, quoteSelection, quoteSignature } from './quote-checks.ts'
import { acceptSession } from './sealed-session.ts'
import { checkTimes, iso } from './time-checks.ts'
import {
  checkDocument,
  type DocumentFacts,
  type DocumentInput,
  type MachineClaims,
} from './verify-document.ts'
import { checkWitnesses, type Witnessed } from './witness-checks.ts'

/** A receipt, and what the verifier has of its session. */
export interface SessionInput {
  /** The receipt as it came, base64url. */
  receipt: string
  /** The envelope exactly as sent, where the verifier has it. */
  request?: Uint8Array
  /** Nonce sent on the plain door. */
  nonce?: string
  /** Per-session salt; known to who holds the response secret, or given beside a plain receipt. */
  salt?: Uint8Array
  /** Plain door: the body exactly as sent. */
  input?: Uint8Array
  /** The workload's body bytes exactly as received. */
  output?: Uint8Array
  /** C2SP tlog-proof of the receipt's leaf, whose checkpoint witnesses may have cosigned. */
  proof?: string
  /** When the verifier itself sent the nonce, by its own clock. */
  sentMs?: number
}

export interface ReceiptInput extends DocumentInput, SessionInput {}

export interface Verdict {
  outcome: Outcome
  policy: string
  checks: CheckEntry[]
  /** What a verified receipt says; read it only when the outcome is `verified`. */
  claims: Claims
}
export interface Claims extends MachineClaims {
  session?: string
  result?: 'completed' | 'aborted'
  door?: 'envelope' | 'plain'
  workload?: string
  utc_ms?: number
  /** Whether others than the VM bound the time from both sides. */
  time: 'bounded' | 'claimed'
  /** Between these the leaf was made: the verifier's own time, and that of witnesses. */
  from_ms?: number
  until_ms?: number
  fork: 'witnessed' | 'skipped'
}

/** Verifies only a document, as a client does before its first envelope. */
export async function verifyDocument(
  input: DocumentInput,
  policy: Policy,
  now = Date.now(),
): Promise<Verdict> {
  const checks = new Checks()
  const facts = await checkDocument(checks, input, policy, now)
  return verdict(checks, policy, facts?.claims ?? {})
}

/** Verifies a receipt. Never throws for bad evidence: what is wrong is in the verdict. */
export async function verifyReceipt(
  input: ReceiptInput,
  policy: Policy,
  now = Date.now(),
): Promise<Verdict> {
  const checks = new Checks()
  return judgeReceipt(checks, await checkDocument(checks, input, policy, now), input, policy, now)
}

/** The checks of a receipt, after those of its document: `facts` are what they found, under this very policy. */
export async function judgeReceipt(
  checks: Checks,
  facts: DocumentFacts | undefined,
  input: SessionInput,
  policy: Policy,
  now: number,
): Promise<Verdict> {
  if (!facts) {
    checks.skipRest('receipt', 'needs the attestation document')
    return verdict(checks, policy, {})
  }
  const state = new ReceiptState(input, facts, policy)
  await state.run(checks, now)
  return verdict(checks, policy, { ...facts.claims, ...state.claims })
}

const verdict = (checks: Checks, policy: Policy, claims: Partial<Claims>): Verdict => ({
  outcome: checks.outcome,
  policy: policy.name,
  checks: checks.entries,
  claims: { time: 'claimed', fork: 'skipped', ...claims },
})

class ReceiptState {
  readonly #input: SessionInput
  readonly #facts: DocumentFacts
  readonly #document: AttestationDocument
  readonly #policy: Policy
  #receipt: Receipt | undefined
  #statements: Statement[] | undefined
  #checkpoint: Checkpoint | undefined
  #body: string | undefined
  #parsed: Promise<ParsedEnvelope> | undefined
  #hash: Promise<Bytes> | undefined
  readonly claims: Partial<Claims> = {}

  constructor(input: SessionInput, facts: DocumentFacts, policy: Policy) {
    this.#input = input
    this.#facts = facts
    this.#document = facts.document
    this.#policy = policy
  }

  async run(checks: Checks, now: number): Promise<void> {
    await checks.run('receipt.form', true, () => this.#open())
    await checks.run('receipt.grammar', true, () => this.#grammar())
    await checks.run('receipt.document', true, () => this.#sameDocument())
    await checks.run('receipt.checkpoint_signature', true, () => this.#signature())
    const quote = () => quoteOf(needs(this.#receipt, 'the receipt'))
    // Witnesses bound the time; a wrong one fails the check of forks, and bounds nothing.
    const witnessed = this.#witnesses(now)
    const seen = witnessed.catch(() => undefined)
    const { max_age_ms, witnesses } = this.#policy
    await Promise.all([
      checks.run('receipt.inclusion', true, () => this.#inclusion()),
      checks.run('receipt.quote_signature', true, () =>
        quoteSignature(quote(), needs(this.#facts.ak, 'the attestation key')),
      ),
      checks.run('receipt.quote_selection', true, () => quoteSelection(quote(), this.#facts.pcrs)),
      checks.run('receipt.quote_binding', true, async () => {
        const body = needs(this.#body, 'the checkpoint')
        return quoteBound(quote(), 'checkpoint', this.#facts.k, await sha256(utf8(body)))
      }),
      checks.run('receipt.boot', true, () => this.#boot()),
      checks.run('receipt.configuration', true, () =>
        acceptSession(needs(this.#statements, 'the statements'), this.#document, this.#policy),
      ),
      checks.run('receipt.metering', true, () => this.#metering()),
      checks.run('receipt.transport_key', true, () => this.#transportKey()),
      checks.run('receipt.request', false, () => this.#request()),
      checks.run('receipt.nonce', false, () => this.#nonce()),
      checks.run('receipt.output', false, () => this.#output()),
      checks.run('receipt.time', max_age_ms !== undefined, async () => this.#time(now, await seen)),
      checks.run('receipt.fork', (witnesses?.quorum ?? 0) > 0, async () => {
        const { names, size, untilMs } = await witnessed
        this.claims.fork = 'witnessed'
        return `in the tree of ${size} that ${names.join(', ')} saw before ${iso(untilMs)}`
      }),
    ])
  }

  #open(): string {
    this.#receipt = decodeReceipt(this.#input.receipt)
    this.claims.session = this.#receipt.leaf.session
    return `session ${this.#receipt.leaf.session}`
  }

  #grammar(): string {
    const { statements } = needs(this.#receipt, 'the receipt').leaf
    checkGrammar(statements)
    this.#statements = statements
    const received = this.#find('request.received')!
    this.claims.door = received.door
    this.claims.workload = received.workload
    this.claims.utc_ms = received.utc_ms
    this.claims.result = this.#find('session.aborted') ? 'aborted' : 'completed'
    return `${statements.length} statements, ${this.claims.result}`
  }

  #sameDocument(): string {
    const named = needs(this.#receipt, 'the receipt').document
    ensure(named === this.#facts.digest, 'the receipt names another attestation document')
    return named
  }

  async #signature(): Promise<string> {
    const note = needs(this.#receipt, 'the receipt').checkpoint
    const opened = await openCheckpoint(note, fromBase64url(this.#document.key_set.ledger_key))
    ensure(
      opened.checkpoint.origin === logOrigin(this.#facts.k),
      'the checkpoint is of another log',
    )
    this.#checkpoint = opened.checkpoint
    this.#body = opened.body
    return `${opened.checkpoint.origin}, size ${opened.checkpoint.size}`
  }

  async #inclusion(): Promise<string> {
    const { index, leaf, path } = needs(this.#receipt, 'the receipt')
    const { root, size } = needs(this.#checkpoint, 'the checkpoint')
    const hash = await this.#leafHash(leaf)
    ensure(
      await verifyInclusion(root, hash, index, size, path.map(fromBase64url)),
      'the leaf is not in the log',
    )
    return `leaf ${index} of ${size}`
  }

  #boot(): string {
    const checkpoint = needs(this.#checkpoint, 'the checkpoint')
    ensure(checkpoint.akName !== NO_TPM, 'the checkpoint says that there was no TPM')
    const ak = needs(this.#facts.ak, 'the attestation key')
    ensure(checkpoint.akName === toHex(ak.name), 'the checkpoint names another attestation key')
    const now = openAttest(quoteOf(needs(this.#receipt, 'the receipt')))
    const then = openAttest(quoteOf(this.#document))
    for (const quote of [now, then]) {
      ensure(
        quote.resetCount === checkpoint.resetCount,
        'quote and checkpoint are of different boots (resetCount)',
      )
      ensure(
        quote.restartCount === checkpoint.restartCount,
        'quote and checkpoint differ in restartCount',
      )
    }
    return `reset ${checkpoint.resetCount}, restart ${checkpoint.restartCount}`
  }

  #metering(): string {
    needs(this.#statements, 'the statements')
    if (this.claims.result === 'aborted') return 'aborted: nothing was answered'
    const applied = this.#find('registry.applied')
    if (!applied) return 'a reading uses nothing'
    ensure(applied.metered || this.#policy.metering === 'optional', 'the session was not metered')
    ensure(
      applied.metered === (this.#find('activations.observed') !== undefined),
      'metered without activations',
    )
    return applied.metered ? `${applied.operation}, ${applied.attribution}` : 'not metered'
  }

  #transportKey(): string {
    const received = needs(this.#find('request.received'), 'the statements')
    if (received.door === 'plain') return 'plain door: the gateway held the input'
    const key = this.#document.transport_keys.find(({ id }) => id === received.transport_key)
    ensure(key !== undefined, 'the session used a transport key that the document does not list')
    const inTime = received.utc_ms >= key.not_before_ms && received.utc_ms <= key.not_after_ms
    ensure(inTime, 'the session used an expired transport key')
    return key.id
  }

  async #request(): Promise<string> {
    const received = needs(this.#find('request.received'), 'the statements')
    if (received.door === 'plain') {
      ensure(!this.#input.request, 'an envelope was sent, and the receipt is for the plain door')
      return this.#plainRequest(received.input_digest)
    }
    ensure(!this.#input.input, 'a plain body was sent, and the receipt is for the envelope door')
    if (!this.#input.request) throw new Skip('the envelope as sent was not given')
    const { envelope, header, headerDigest } = await this.#envelope(this.#input.request)
    ensure(toHex(headerDigest) === received.header_digest, 'the receipt is for another header')
    ensure(
      (await sha256Hex(utf8(envelope.input))) === header.input_digest,
      'the input is not the one the header names',
    )
    const instructions = await sha256Hex(utf8(envelope.instructions))
    ensure(
      instructions === header.instructions_digest,
      'the instructions are not those that the header names',
    )
    ensure(
      canonicalize(header.expect) === canonicalize(received.expect),
      'the embassy did not echo what was expected',
    )
    ensure(header.expect.key_set === toHex(this.#facts.k), 'the envelope expected another key set')
    ensure(
      header.endpoint === received.endpoint && header.workload === received.workload,
      'sent to another workload',
    )
    ensure(header.key_id === received.transport_key, 'wrapped to another transport key')
    return `header ${toHex(headerDigest)}`
  }

  #leafHash = (leaf: Receipt['leaf']): Promise<Bytes> => (this.#hash ??= leafHash(leafBytes(leaf)))

  /** It may be large, and several checks read it. */
  #envelope = (bytes: Uint8Array): Promise<ParsedEnvelope> =>
    (this.#parsed ??= parseEnvelope(bytes))

  async #plainRequest(stated: string | undefined): Promise<string> {
    const { input, salt } = this.#input
    if (!input || !salt) throw new Skip('the body as sent, or the salt, was not given')
    ensure((await saltedDigest(salt, input)) === stated, 'the receipt is for another body')
    return 'body as sent'
  }

  async #nonce(): Promise<string> {
    const received = needs(this.#find('request.received'), 'the statements')
    const sent = this.#input.request
      ? (await this.#envelope(this.#input.request)).header.nonce
      : this.#input.nonce
    if (sent === undefined) throw new Skip('no nonce was given')
    ensure(sent === received.nonce, 'the receipt echoes another nonce')
    return 'echoed'
  }

  async #output(): Promise<string> {
    needs(this.#statements, 'the statements')
    const { output, salt } = this.#input
    if (!output || !salt) throw new Skip('the output, or the salt, was not given')
    const digest = await saltedDigest(salt, output)
    const read = this.#find('registry.read')
    if (read) {
      ensure(digest === read.reading_digest, 'the reading is not the one committed')
      return `reading of ${output.length} bytes`
    }
    const committed = this.#find('output.committed')
    if (this.#find('session.aborted') || !committed)
      throw new Refusal('the session committed to no output')
    ensure(committed.output_bytes === output.length, 'the output has another length than committed')
    ensure(digest === committed.output_digest, 'the output is not the one committed')
    return `${output.length} bytes`
  }

  async #time(now: number, witnessed: Witnessed | undefined): Promise<string> {
    const fromMs = await this.#sentMs()
    const untilMs = witnessed?.untilMs
    const { isBounded, reason } = checkTimes({
      checkpointMs: needs(this.#checkpoint, 'the checkpoint').utcMs,
      statements: needs(this.#statements, 'the statements'),
      maxAgeMs: this.#policy.max_age_ms,
      now,
      fromMs,
      untilMs,
    })
    if (fromMs !== undefined) this.claims.from_ms = fromMs
    if (untilMs !== undefined) this.claims.until_ms = untilMs
    if (isBounded) this.claims.time = 'bounded'
    return reason
  }

  /** When the verifier sent the nonce, where it says so and the receipt echoes it. */
  #sentMs(): Promise<number | undefined> {
    return this.#nonce().then(
      () => this.#input.sentMs,
      () => undefined,
    )
  }

  async #witnesses(now: number): Promise<Witnessed> {
    const receipt = needs(this.#receipt, 'the receipt')
    const checkpoint = needs(this.#checkpoint, 'the checkpoint')
    const { index, leaf } = receipt
    const ledgerKey = this.#document.key_set.ledger_key
    const hash = await this.#leafHash(leaf)
    const proven = { ledgerKey, checkpoint, leafHash: hash, index }
    return checkWitnesses(this.#input.proof, proven, this.#policy, now)
  }

  #find<T extends StatementType>(type: T): Extract<Statement, { type: T }> | undefined {
    const found = this.#statements?.find((statement) => statement.type === type)
    return found as Extract<Statement, { type: T }> | undefined
  }
}
