// A `fetch` for OpenAI's SDK, Vercel's AI SDK and whatever else takes one: the machine is attested before it is asked, the
// request goes out encrypted to it, and no answer ends well whose receipt does not verify.
import { checkPolicy, type Policy } from '@sealed/protocol'
import { ask } from '../ask.ts'
import { attest } from '../attest.ts'
import { Attester } from '../attester.ts'
import { type Fetch, Gateway } from '../gateway.ts'
import type { RetryOptions } from '../retry.ts'
import { buildFetch, type OnVerdict, type SdkFetch } from './build.ts'

export type { Judged, OnVerdict, SdkFetch } from './build.ts'
export { verdictOf } from './verdicts.ts'

export interface SealedFetchOptions {
  /** `https://…`, without `/v1`; plain HTTP only to the loopback. */
  gateway: string
  /** What the machine and every receipt must satisfy. */
  policy: Policy
  /** Key of the gateway; without it the SDK's own key is sent on, as to any other base URL. */
  apiKey?: string
  /** Which workload of the machine, whatever the request's `model` is; without it the one that serves that model. */
  workload?: string
  /** Holds a streamed answer back until its receipt was verified. */
  strict?: boolean
  /** Told of every verdict on a session; what it throws refuses the answer. */
  onVerdict?: OnVerdict
  /** How long one attestation serves, in milliseconds. Default one hour, and never beyond the machine's key. */
  attestationMaxAgeMs?: number
  /** Of what was refused before the reveal. SDKs send again too: their `maxRetries: 0` leaves it to this. */
  retry?: RetryOptions
  maxOutputBytes?: number
  /** 32 bytes by which a machine under seal policy `permanent` knows this client again; drawn once unless given. */
  tenantSecret?: Uint8Array
  /** Reaches the gateway. */
  fetch?: Fetch
  /** Milliseconds since the epoch. */
  now?: () => number
}

/**
 * Throws `request.invalid` for a gateway's address that cannot be used, `config.invalid` for what is no policy. The fetch
 * rejects only when its signal is aborted; any other failure is a Response with OpenAI's error object, of a status that
 * invites sending again (429 or 503 with `Retry-After`) only where no key can have been revealed.
 *
 * ```ts
 * const fetch = createSealedFetch({ gateway: 'https://gateway.example', policy })
 * const openai = new OpenAI({ baseURL: 'https://gateway.example/v1', apiKey, fetch, maxRetries: 0 })
 * ```
 */
export function createSealedFetch(options: SealedFetchOptions): SdkFetch {
  const { attestationMaxAgeMs, gateway: url, ...rest } = options
  const policy = checkPolicy(options.policy)
  const { apiKey, fetch, now } = rest
  const reach = { url, ...(apiKey && { apiKey }), ...(fetch && { fetch }), ...(now && { now }) }
  const attester = new Attester({
    attest: (signal) => attest({ ...reach, policy, signal }),
    ...(now && { now }),
    ...(attestationMaxAgeMs !== undefined && { maxAgeMs: attestationMaxAgeMs }),
  })
  return buildFetch({ ...rest, gateway: new Gateway(reach), attester, exchange: ask })
}
