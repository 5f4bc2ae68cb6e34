// Judges an answer by its receipt, against the very bytes sent and received. What failed comes out as an error with the
// server's code, its receipt and the verdict on that; what completed comes out with its verdict, good or bad.
import {
  type AttestationDocument,
  decodeReceipt,
  type FinalFrame,
  fromBase64url,
  fromUtf8,
  KnownDocument,
  keySetDigest,
  type Receipt,
  SealedError,
  type SessionInput,
  toHex,
  type Verdict,
  verifyReceipt,
} from '@sealed/protocol'
import type { Opened } from './answer.ts'
import type { Answer } from './ask.ts'
import type { Attested } from './attest.ts'
import { type Evidence, GatewayFailure, readErrorBody } from './failure.ts'
import { fetchDocument } from './receipts.ts'

/** Throws `GatewayFailure` when the session failed, `receipt.missing` or `response.invalid`. */
export async function judge(
  attested: Attested,
  started: Evidence,
  opened: Opened,
  signal?: AbortSignal,
): Promise<Answer> {
  const { output } = opened
  const { error, receipt } = opened.final
  if (receipt === undefined) throw error ? cutShort(error, started) : unreceipted(started, opened)
  if (!error) {
    // Nearly always nothing else is to be found out.
    const evidence = { ...started, receipt, document: attested.document }
    const verdict = await verdictOn(attested, attested.document, { ...evidence, output })
    if (verdict.outcome === 'verified')
      return answerOf(opened, evidence, verdict, rightForm(receipt))
  }
  const decoded = tryDecode(receipt)
  const last = decoded?.leaf.statements.at(-1)
  const aborted = last?.type === 'session.aborted'
  const evidence = { ...started, receipt, document: await documentOf(attested, decoded, signal) }
  const verdict = await verdictOn(attested, evidence.document, {
    ...evidence,
    receipt,
    ...(!aborted && { output }),
  })
  if (error) throw cutShort(error, evidence, verdict)
  if (aborted) throw failed(last.reason, evidence, opened, verdict)
  return answerOf(opened, evidence, verdict, decoded)
}

function answerOf(
  { head, output }: Opened,
  evidence: Evidence & { receipt: string },
  verdict: Verdict,
  receipt: Receipt | undefined,
): Answer {
  const committed = receipt?.leaf.statements.find(({ type }) => type === 'output.committed')
  if (committed?.type === 'output.committed' && committed.status !== head.status)
    throw new GatewayFailure(
      'response.invalid',
      `the answer says status ${head.status}, its receipt ${committed.status}`,
      { evidence, verdict },
    )
  return { ...evidence, status: head.status, contentType: head.content_type, output, verdict }
}

/** The machine's own document is judged once for all answers that come from it. */
const known = new WeakMap<Attested, KnownDocument>()

function verdictOn(
  attested: Attested,
  document: AttestationDocument,
  session: SessionInput,
): Promise<Verdict> {
  if (document !== attested.document)
    return verifyReceipt({ ...session, document }, attested.policy, attested.now())
  const its = known.get(attested) ?? new KnownDocument(document, attested.policy)
  known.set(attested, its)
  return its.verify(session, attested.now())
}

/** Of a receipt that was verified, so that its form is known to be right. */
const rightForm = (receipt: string): Receipt =>
  JSON.parse(fromUtf8(fromBase64url(receipt))) as Receipt

const tryDecode = (receipt: string): Receipt | undefined => {
  try {
    return decodeReceipt(receipt)
  } catch {
    return undefined // the verdict says what is wrong with it
  }
}

/**
 * The document that the receipt names. Transport keys rotate, so it may be a later one than was attested; it is taken
 * only with the same key set, and goes through every check of its own.
 */
async function documentOf(
  attested: Attested,
  receipt: Receipt | undefined,
  signal?: AbortSignal,
): Promise<AttestationDocument> {
  if (!receipt || receipt.document === attested.documentDigest) return attested.document
  try {
    const document = await fetchDocument(attested.gateway, receipt.document, signal)
    const same = toHex(await keySetDigest(document.key_set)) === attested.keySetDigest
    return same ? document : attested.document
  } catch (error) {
    if (error instanceof SealedError) return attested.document // receipt.document then fails
    throw error
  }
}

function failed(reason: string, evidence: Evidence, opened: Opened, verdict: Verdict) {
  const said = readErrorBody(new TextDecoder().decode(opened.output))
  return new GatewayFailure(
    said?.code ?? 'session.aborted',
    said?.message ?? `the session was aborted (${reason}); ask again with a new envelope`,
    {
      status: opened.head.status,
      evidence,
      verdict,
      ...(said?.param !== undefined && { param: said.param }),
    },
  )
}

/** A failure that came after the head. Whatever the receipt says, what came before it is no answer. */
function cutShort(
  error: NonNullable<FinalFrame['error']>,
  evidence: Evidence,
  verdict?: Verdict,
): GatewayFailure {
  return new GatewayFailure(error.code, error.message, {
    evidence,
    ...(verdict && { verdict }),
    ...(error.param !== undefined && { param: error.param }),
  })
}

/** An error from before the reveal has no receipt; anything else without one is not to be believed. */
function unreceipted(evidence: Evidence, { head, output }: Opened): GatewayFailure {
  const said = head.status >= 400 ? readErrorBody(new TextDecoder().decode(output)) : undefined
  if (!said?.code)
    return new GatewayFailure('receipt.missing', 'the answer came without a receipt', { evidence })
  return new GatewayFailure(said.code, said.message, {
    status: head.status,
    evidence,
    ...(said.param !== undefined && { param: said.param }),
  })
}
