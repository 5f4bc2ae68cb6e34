// INSECURE: the same fetch without its point. It encrypts to whatever key the gateway names and shows answers whose
// receipts prove nothing, for trying things out against a machine that cannot be verified yet. It has an import path of
// its own, `@sealed/client/insecure`, so that nobody comes to use it by an option.
import { type Policy, STRICT_POLICY } from '@sealed/protocol'
import { type Attested, currentTransportKey, inspect } from './attest.ts'
import { Attester } from './attester.ts'
import { exchange } from './exchange.ts'
import { buildFetch, type SdkFetch } from './fetch/build.ts'
import type { SealedFetchOptions } from './fetch/sealed-fetch.ts'
import { type Fetch, Gateway } from './gateway.ts'

export type InsecureFetchOptions = Omit<SealedFetchOptions, 'policy' | 'strict'> & {
  /** What verdicts are given under; none of them is insisted on. The strict one without it. */
  policy?: Policy
}

/** As `createSealedFetch`, but any machine and any receipt will do. A broken or cut answer is an error here too. */
export function createInsecureFetch(options: InsecureFetchOptions): SdkFetch {
  const { attestationMaxAgeMs, gateway: url, policy = STRICT_POLICY, ...rest } = options
  const { apiKey, fetch, now } = rest
  const reach = { url, ...(apiKey && { apiKey }), ...(fetch && { fetch }), ...(now && { now }) }
  const attester = new Attester({
    attest: (signal) => unverified({ ...reach, policy, signal }),
    ...(now && { now }),
    ...(attestationMaxAgeMs !== undefined && { maxAgeMs: attestationMaxAgeMs }),
  })
  return buildFetch({
    ...rest,
    gateway: new Gateway(reach),
    attester,
    exchange: (request) => exchange({ ...request, verdict: 'report' }),
  })
}

async function unverified(options: {
  url: string
  policy: Policy
  signal: AbortSignal
  fetch?: Fetch
  now?: () => number
}): Promise<Attested> {
  const inspection = await inspect(options)
  const { policy, now = Date.now } = options
  const transportKey = currentTransportKey(inspection.document, now())
  return { ...inspection, gateway: new Gateway(options), policy, now, transportKey }
}
