// The fetch itself: reads what an SDK asks, attests, exchanges, and answers with a Response whatever happens. It rejects
// only when its caller gave up; an SDK takes any other rejection for a lost connection and sends again.
import { randomBytes, SealedError, type Verdict, workloadFor } from '@sealed/protocol'
import type { Answer, AskOptions } from '../ask.ts'
import type { Attested } from '../attest.ts'
import type { Attester } from '../attester.ts'
import { GatewayFailure } from '../failure.ts'
import type { Gateway } from '../gateway.ts'
import { type Epilogue, isLive, LiveBody, wholeResponse } from './answer-response.ts'
import { failureResponse, verdictIn } from './failure-response.ts'
import { GivenUp } from './given-up.ts'
import { type ModelsCall, readCall, type SealedCall } from './read-request.ts'
import { keepVerdict } from './verdicts.ts'

export type SdkFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** What a verdict was given on. */
export interface Judged {
  endpoint: string
  receipt: string | undefined
  receiptId: string | undefined
}

export type OnVerdict = (verdict: Verdict, of: Judged) => void

/** How a call ended: with an answer, or with what went wrong. */
export interface Outcome {
  call: SealedCall
  answer?: Answer
  error?: unknown
}

export interface Parts {
  gateway: Gateway
  attester: Attester
  /** Sends one envelope and judges its answer. */
  exchange: (options: AskOptions) => Promise<Answer>
  /** 32 bytes by which a machine under seal policy `permanent` knows this client again; drawn once unless given. */
  tenantSecret?: Uint8Array
  /** Goes before the key that an SDK sends. */
  apiKey?: string
  workload?: string
  strict?: boolean
  onVerdict?: OnVerdict
  onOutcome?: (outcome: Outcome) => void
  epilogue?: Epilogue
  retry?: AskOptions['retry']
  maxOutputBytes?: number
}

const MAX_MODELS_BYTES = 1024 * 1024

export function buildFetch(given: Parts): SdkFetch {
  const parts = { tenantSecret: randomBytes(32), ...given }
  const givenUp = new GivenUp()
  return async (input, init) => {
    let call: SealedCall | ModelsCall
    try {
      call = await readCall(parts.gateway.url, input, init)
      call.signal?.throwIfAborted()
      if (call.kind === 'sealed') await givenUp.refuse(call)
    } catch (error) {
      init?.signal?.throwIfAborted()
      return failureResponse(error, false)
    }
    return call.kind === 'models' ? models(parts, call) : new Sealed(parts, call, givenUp).response
  }
}

async function models(parts: Parts, { apiKey, path, signal }: ModelsCall): Promise<Response> {
  const key = { apiKey: parts.apiKey ?? apiKey }
  try {
    const body = await parts.gateway.get(path, MAX_MODELS_BYTES, signal, key)
    return new Response(body, { headers: { 'content-type': 'application/json' } })
  } catch (error) {
    signal?.throwIfAborted()
    return failureResponse(error, false)
  }
}

/** One call on its way; `response` settles once there is something to show. */
class Sealed {
  readonly response: Promise<Response>
  readonly #parts: Parts
  readonly #call: SealedCall
  readonly #stop = new AbortController()
  #sent = false
  #receiptId: string | undefined
  #live: LiveBody | undefined
  #show: (response: Response) => void = () => {}

  constructor(parts: Parts, call: SealedCall, givenUp: GivenUp) {
    this.#parts = parts
    this.#call = call
    this.response = new Promise((resolve, reject) => {
      const verdict = this.#judged()
      this.#show = (response) =>
        resolve(
          keepVerdict(
            response,
            verdict.then(({ verdict }) => verdict, verdictOrThrow),
          ),
        )
      verdict.then(
        (answer) => {
          if (this.#live) this.#live.end(answer, parts.epilogue)
          else this.#show(wholeResponse(answer))
        },
        async (error: unknown) => {
          if (this.#live) return this.#live.fail(error)
          if (!call.signal?.aborted) return this.#show(failureResponse(error, this.#sent))
          if (this.#sent) await givenUp.remember(call)
          reject(call.signal.reason)
        },
      )
    })
  }

  /** The answer, judged, and its verdict told; a callback that throws refuses the answer. */
  async #judged(): Promise<Answer> {
    const { onOutcome, onVerdict } = this.#parts
    const call = this.#call
    const tell = (verdict: Verdict, of: Partial<Judged>) =>
      onVerdict?.(verdict, {
        endpoint: call.endpoint,
        receipt: of.receipt,
        receiptId: of.receiptId,
      })
    try {
      const answer = await this.#exchange()
      tell(answer.verdict, answer)
      onOutcome?.({ call, answer })
      return answer
    } catch (error) {
      const verdict = verdictIn(error)
      if (verdict) tell(verdict, (error as GatewayFailure).evidence ?? {})
      onOutcome?.({ call, error })
      throw error
    }
  }

  async #exchange(): Promise<Answer> {
    const { attester } = this.#parts
    const { signal } = this.#call
    const either = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
    for (let fresh = false; ; fresh = true) {
      const attested = await attester.get(either)
      try {
        return await this.#parts.exchange(this.#options(attested, either))
      } catch (error) {
        const stale = staleness(error)
        if (fresh || !stale) throw error
        attester[stale](attested)
        this.#sent = false
      }
    }
  }

  #options(attested: Attested, signal: AbortSignal): AskOptions {
    const { maxOutputBytes, retry, strict, tenantSecret, workload } = this.#parts
    const { apiKey, body, endpoint, model, stream } = this.#call
    const { workloads } = attested.document.configuration
    const chosen =
      workload ?? (model === undefined ? undefined : workloadFor(workloads, model).name)
    return {
      attested,
      endpoint,
      body,
      stream,
      signal,
      apiKey: this.#parts.apiKey ?? apiKey,
      ...(chosen !== undefined && { workload: chosen }),
      ...(retry && { retry }),
      ...(maxOutputBytes !== undefined && { maxOutputBytes }),
      ...(tenantSecret && { tenantSecret }),
      onEvent: (event) => {
        if (event.type === 'prepared') this.#sent = true
        else if (event.type === 'refused') this.#sent = false
        else if (event.type === 'admitted') this.#receiptId = event.receiptId
        else if (event.type === 'head' && stream && !strict && isLive(event.head)) {
          const stop = (reason: unknown) => this.#stop.abort(reason)
          this.#live = new LiveBody(event.head, this.#receiptId, stop)
          this.#show(this.#live.response)
        } else if (event.type === 'data') this.#live?.push(event.bytes)
      },
    }
  }
}

/**
 * What a refusal at the door says of the attestation, which a new one may mend: the machine has other keys or another
 * workload now, or may have one that is not in it.
 */
function staleness(error: unknown): 'forget' | 'doubt' | undefined {
  if (!(error instanceof SealedError)) return undefined
  if (error instanceof GatewayFailure && error.evidence) return undefined
  const { code } = error
  if (code === 'workload.unknown') return 'doubt'
  const isOther = code === 'envelope.key_unknown' || code === 'envelope.expect_mismatch'
  return isOther ? 'forget' : undefined
}

function verdictOrThrow(error: unknown): Verdict {
  const verdict = verdictIn(error)
  if (verdict) return verdict
  throw error
}
