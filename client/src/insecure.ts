// INSECURE: the same fetch without its point. It encrypts to whatever key the gateway names and shows answers whose
// receipts prove nothing, for trying things out against a machine that cannot be verified yet. It has an import path of
// its own, `@sealed/client/insecure`, so that nobody comes to use it by an option.
import { type Policy, STRICT_POLICY } from '@sealed/protocol'
import { Attester } from './attester.ts'
import { buildFetch, type SdkFetch } from './fetch/build.ts'
import type { SealedFetchOptions } from './fetch/sealed-fetch.ts'
import { Gateway } from './gateway.ts'
import { askUnverified, inspectUnverified } from './unverified.ts'

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
    attest: (signal) => inspectUnverified({ ...reach, policy, signal }),
    ...(now && { now }),
    ...(attestationMaxAgeMs !== undefined && { maxAgeMs: attestationMaxAgeMs }),
  })
  return buildFetch({
    ...rest,
    gateway: new Gateway(reach),
    attester,
    exchange: askUnverified,
  })
}
