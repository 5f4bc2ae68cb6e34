// One exchange with a machine: a new envelope for each attempt, its answer read to the end and judged. Whether the
// machine may be asked at all is decided by who calls; nothing is sent again once a key may have been revealed.
import {
  type Bytes,
  ENVELOPE_TYPE,
  fromBase64url,
  importTransportKey,
  RESPONSE_TYPE,
  SealedError,
  type SealedRequest,
  sealRequest,
  sessionSalt,
  type TransportKeyRecord,
  type TransportPublicKey,
  utf8,
} from '@sealed/protocol'
import { readAnswer } from './answer.ts'
import type { Answer, AskOptions } from './ask.ts'
import { type Attested, currentTransportKey } from './attest.ts'
import { type Evidence, GatewayFailure, VerdictError } from './failure.ts'
import { judge } from './judge.ts'
import { pause, retryDelay } from './retry.ts'

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** As `ask`, to a machine that the caller answers for. */
export async function exchange(options: AskOptions): Promise<Answer> {
  const { attested, apiKey, signal } = options
  for (let attempt = 1; ; attempt++) {
    const sealed = await seal(options)
    const request = utf8(sealed.body)
    const { header } = sealed
    signal?.throwIfAborted()
    options.onEvent?.({ type: 'prepared', header, bytes: request.length, attempt })
    let response: Response
    try {
      const types = { request: ENVELOPE_TYPE, response: RESPONSE_TYPE }
      response = await attested.gateway.post('/v1/sealed', request, types, { apiKey, signal })
    } catch (error) {
      const delay = retryDelay(error, attempt, options.retry)
      if (delay === undefined) throw error
      const { code, message } = error as GatewayFailure
      options.onEvent?.({ type: 'refused', code, message, retryAfterMs: delay })
      await (options.retry?.pause ?? pause)(delay, signal)
      continue
    }
    return receive(options, sealed, request, response)
  }
}

/** The workload of that name, or the only one; throws `workload.unknown` with the names there are. */
export function selectWorkload(attested: Pick<Attested, 'document'>, name?: string) {
  const { workloads } = attested.document.configuration
  const found = name === undefined ? workloads : workloads.filter((one) => one.name === name)
  if (found.length === 1) return found[0]!
  const names = workloads.map((one) => one.name).join(', ')
  throw new SealedError(
    'workload.unknown',
    name === undefined
      ? `this machine runs several workloads; name one of ${names}`
      : `no workload ${name} on this machine; there is ${names}`,
    { param: 'workload' },
  )
}

const imported = new WeakMap<TransportKeyRecord, Promise<TransportPublicKey>>()

/** Once for all envelopes to the machine. */
function importOnce(record: TransportKeyRecord): Promise<TransportPublicKey> {
  const key = imported.get(record) ?? importTransportKey(fromBase64url(record.spki))
  imported.set(record, key)
  return key
}

async function seal(options: AskOptions): Promise<SealedRequest> {
  const { attested } = options
  const now = attested.now()
  const workload = selectWorkload(attested, options.workload)
  const key = currentTransportKey(attested.document, now)
  return sealRequest(
    await importOnce(key),
    {
      workload: workload.name,
      endpoint: options.endpoint,
      expect: {
        key_set: attested.keySetDigest,
        metering: attested.document.configuration.metering,
        seal_policy: workload.seal_policy,
        workload: workload.digest,
      },
      input: options.body,
      instructions: async (input_digest, nonce) =>
        (await options.instructions?.({ audience: key.id, input_digest, nonce })) ?? '',
      stream: options.stream ?? false,
      ...(options.tenantSecret && { tenantSecret: options.tenantSecret }),
    },
    now,
  )
}

async function receive(
  options: AskOptions,
  sealed: SealedRequest,
  request: Bytes,
  response: Response,
): Promise<Answer> {
  const { attested, onEvent, signal } = options
  const context = {
    responseSecret: sealed.secrets.responseSecret,
    headerDigest: sealed.headerDigest,
  }
  const receiptId = response.headers.get('sealed-receipt-id') ?? undefined
  onEvent?.({ type: 'admitted', receiptId })
  const evidence: Evidence = {
    document: attested.document,
    request,
    salt: await sessionSalt(context),
    ...(receiptId !== undefined && { receiptId }),
  }
  const opened = await readAnswer(context, response.body, {
    maxOutputBytes: options.maxOutputBytes ?? MAX_OUTPUT_BYTES,
    signal,
    onHead: (head) => onEvent?.({ type: 'head', head }),
    onData: (bytes) => onEvent?.({ type: 'data', bytes }),
  }).catch((cause: unknown) => {
    if (!(cause instanceof SealedError)) throw cause
    throw new GatewayFailure(cause.code, cause.message, { cause, evidence })
  })
  const answer = await judge(attested, evidence, opened, signal)
  onEvent?.({ type: 'judged', verdict: answer.verdict, receipt: answer.receipt })
  if (answer.verdict.outcome === 'verified' || options.verdict === 'report') return answer
  const wrong = answer.verdict.checks.find(({ result }) => result === 'fail')
  const why = wrong ? `: ${wrong.id}: ${wrong.reason}` : ''
  throw new VerdictError(
    `the receipt does not verify under policy ${answer.verdict.policy}${why}; do not trust this answer`,
    answer.verdict,
    answer,
  )
}
