// Attestation before the first envelope: a fresh document from the gateway, judged under a policy. Only what `attest`
// returns may be asked; there is no way round it and no fallback to the plain door.
import {
  type AttestationDocument,
  checkPolicy,
  documentDigest,
  keySetDigest,
  type Policy,
  parseAttestationAnswer,
  randomBytes,
  SealedError,
  type TransportKeyRecord,
  toBase64url,
  toHex,
  type Verdict,
  verifyDocument,
} from '@sealed/protocol'
import { VerdictError } from './failure.ts'
import { Gateway, type GatewayOptions } from './gateway.ts'

export interface AttestOptions extends GatewayOptions {
  policy: Policy
  /** Milliseconds since the epoch. */
  now?: () => number
  signal?: AbortSignal
}

/** A document and what the policy says of it, whatever that is. */
export interface Inspection {
  document: AttestationDocument
  documentDigest: string
  /** K, in hex. */
  keySetDigest: string
  verdict: Verdict
}

/** A document that was verified, fresh, and what is needed to send envelopes to the machine it speaks for. */
export interface Attested extends Inspection {
  gateway: Gateway
  policy: Policy
  now: () => number
  /** The newest transport key that is valid now. */
  transportKey: TransportKeyRecord
}

const MAX_ANSWER_BYTES = 2 * 1024 * 1024
const NONCE_BYTES = 32

/**
 * Fetches a document with a fresh nonce and judges it; a verdict other than `verified` is returned like any other.
 * Without a challenge quote the verdict is at most `incomplete`: a document alone may be a recording. Throws
 * `config.invalid` for what is no policy.
 */
export const inspect = (options: AttestOptions): Promise<Inspection> =>
  inspectAt(new Gateway(options), options)

async function inspectAt(gateway: Gateway, options: AttestOptions): Promise<Inspection> {
  const policy = checkPolicy(options.policy)
  const nonce = randomBytes(NONCE_BYTES)
  const path = `/v1/attestation?nonce=${toBase64url(nonce)}`
  const answer = parse(await gateway.get(path, MAX_ANSWER_BYTES, options.signal), gateway.url)
  const { challenge, document } = answer
  const input = { document, ...(challenge && { challenge: { nonce, answer: challenge } }) }
  const verdict = await verifyDocument(input, policy, options.now?.())
  return {
    document,
    documentDigest: await documentDigest(document),
    keySetDigest: toHex(await keySetDigest(document.key_set)),
    verdict: mustBeFresh(verdict),
  }
}

/** Like `inspect`, but throws `VerdictError` (`verdict.failed`) unless the verdict is `verified`. */
export async function attest(options: AttestOptions): Promise<Attested> {
  const gateway = new Gateway(options)
  const inspection = await inspectAt(gateway, options)
  const { document, verdict } = inspection
  if (verdict.outcome !== 'verified') throw notVerified(verdict, gateway.url)
  const now = options.now ?? Date.now
  const transportKey = currentTransportKey(document, now())
  return { ...inspection, gateway, policy: options.policy, now, transportKey }
}

/** The newest key valid at `now`; throws `envelope.key_unknown` when there is none. */
export function currentTransportKey(
  document: AttestationDocument,
  now: number,
): TransportKeyRecord {
  const valid = document.transport_keys
    .filter((key) => key.not_before_ms <= now && now <= key.not_after_ms)
    .sort((a, b) => b.not_before_ms - a.not_before_ms)
  if (valid[0]) return valid[0]
  throw new SealedError(
    'envelope.key_unknown',
    `no transport key of this document is valid at ${new Date(now).toISOString()}; attest again, and check this machine’s clock`,
  )
}

function parse(bytes: Uint8Array, url: string) {
  try {
    return parseAttestationAnswer(bytes)
  } catch (cause) {
    const why = cause instanceof SealedError ? cause.message : 'malformed'
    throw new SealedError(
      'evidence.invalid',
      `what ${url} sent is no attestation document: ${why}`,
      { cause },
    )
  }
}

/** Freshness is optional for a verifier of old receipts, and required of a machine that is about to be trusted. */
function mustBeFresh(verdict: Verdict): Verdict {
  const checks = verdict.checks.map((entry) =>
    entry.id === 'document.challenge' ? { ...entry, required: true } : entry,
  )
  const fresh = checks.some(({ id, result }) => id === 'document.challenge' && result === 'pass')
  const outcome = verdict.outcome === 'verified' && !fresh ? 'incomplete' : verdict.outcome
  return { ...verdict, checks, outcome }
}

function notVerified(verdict: Verdict, url: string): VerdictError {
  const first = verdict.checks.find(({ result, required }) =>
    verdict.outcome === 'failed' ? result === 'fail' : required && result === 'skip',
  )
  const why = first ? `: ${first.id}: ${first.reason}` : ''
  return new VerdictError(
    `${url} is not ${verdict.outcome === 'failed' ? 'trusted' : 'fully judged'} under policy ${verdict.policy}${why}; nothing was sent`,
    verdict,
  )
}
