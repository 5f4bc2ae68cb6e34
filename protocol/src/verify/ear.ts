// A verdict in the words of RATS: an EAR claims set (draft-ietf-rats-ear-04) with AR4SI trustworthiness claims
// (draft-ietf-rats-ar4si-10), for relying parties that read those. It says less than the verdict and never more: what
// was skipped is affirmed nowhere, and what was not judged (a GPU, secrets on a disk) is not spoken of.
import { sha256, toBase64url } from '../bytes.ts'
import { canonicalBytes } from '../json.ts'
import type { Policy } from '../policy.ts'
import type { CheckEntry, CheckId } from './checks.ts'
import type { Claims, Verdict } from './verify-receipt.ts'

export const EAR_PROFILE = 'tag:ietf.org,2026:rats/ear#04'

export type Tier = 'none' | 'affirming' | 'warning' | 'contraindicated'
/** The attesters that are appraised apart. All others rest on the TPM. */
export type Submodule = 'tpm' | 'tee' | 'workload' | 'receipt'
export type TrustClaim =
  | 'configuration'
  | 'executables'
  | 'hardware'
  | 'instance-identity'
  | 'runtime-opaque'
  | 'sourced-data'

export interface Appraisal {
  ear_status: Tier
  ear_trustworthiness_vector: Partial<Record<TrustClaim, number>>
  /** One URI: the digest of the policy's canonical form (RFC 6920). */
  ear_appraisal_policy_ids: string[]
  /** What the evidence says of itself; members of the verdict's claims. */
  ear_attester_claims?: Partial<Claims>
  /** The checks behind this appraisal, as the verdict has them. */
  ear_verifier_claims: { checks: CheckEntry[]; outcome: Verdict['outcome'] }
}

export interface Ear {
  eat_profile: typeof EAR_PROFILE
  /** Seconds since 1970. */
  iat: number
  ear_verifier_id: { build: string; developer: string }
  submods: Partial<Record<Submodule, Appraisal>>
}

const NONE = 0
/** AR4SI's values for a claim that is affirmed; of executables, only that what was booted is approved. */
const AFFIRMED: Record<TrustClaim, number> = {
  configuration: 2,
  executables: 3,
  hardware: 2,
  'instance-identity': 2,
  'runtime-opaque': 2,
  'sourced-data': 2,
}
/** AR4SI's values for a claim that is denied: known and bad, not recognised, or cryptographically wrong. */
const BAD = 96
const UNRECOGNISED = 97
const CRYPTO = 99

type Place = [of: Submodule, denied: number, ...claims: TrustClaim[]]

/** Where each check counts, and what its failure says. A new check has to be placed before it compiles. */
const PLACES: Record<CheckId, Place> = {
  'document.form': ['tpm', BAD, 'instance-identity'],
  'document.ak': ['tpm', BAD, 'instance-identity'],
  'document.ak_chain': ['tpm', UNRECOGNISED, 'instance-identity'],
  'document.instance': ['tpm', BAD, 'instance-identity'],
  'document.quote_signature': ['tpm', CRYPTO, 'instance-identity'],
  'document.quote_selection': ['tpm', CRYPTO, 'instance-identity'],
  'document.quote_binding': ['tpm', CRYPTO, 'instance-identity'],
  'document.pcr_key_set': ['tpm', BAD, 'configuration'],
  'document.pcr_configuration': ['tpm', BAD, 'configuration'],
  'document.pcr_launch': ['tpm', BAD, 'configuration'],
  'document.pcr_reference': ['tpm', BAD, 'executables'],
  'document.event_log': ['tpm', BAD, 'executables'],
  'document.boot_application': ['tpm', UNRECOGNISED, 'executables'],
  'document.tee_form': ['tee', BAD, 'hardware', 'runtime-opaque'],
  'document.tee_chain': ['tee', UNRECOGNISED, 'hardware', 'instance-identity'],
  'document.tee_signature': ['tee', CRYPTO, 'hardware', 'instance-identity'],
  'document.tee_binding': ['tee', CRYPTO, 'instance-identity'],
  'document.tee_tcb': ['tee', BAD, 'hardware'],
  'document.tee_guest': ['tee', BAD, 'runtime-opaque'],
  'document.tee_reference': ['tee', BAD, 'executables'],
  'document.tee_event_log': ['tee', BAD, 'executables'],
  'document.transport_keys': ['tpm', CRYPTO, 'configuration'],
  'document.configuration': ['workload', BAD, 'configuration'],
  'document.challenge': ['tpm', BAD],
  'receipt.form': ['receipt', BAD, 'sourced-data'],
  'receipt.grammar': ['receipt', BAD, 'sourced-data'],
  'receipt.document': ['receipt', BAD, 'instance-identity'],
  'receipt.checkpoint_signature': ['receipt', CRYPTO, 'instance-identity'],
  'receipt.inclusion': ['receipt', CRYPTO, 'sourced-data'],
  'receipt.quote_signature': ['receipt', CRYPTO, 'instance-identity'],
  'receipt.quote_selection': ['receipt', CRYPTO, 'instance-identity'],
  'receipt.quote_binding': ['receipt', CRYPTO, 'instance-identity'],
  'receipt.boot': ['receipt', BAD, 'instance-identity'],
  'receipt.configuration': ['workload', BAD, 'executables'],
  'receipt.metering': ['workload', BAD, 'configuration'],
  'receipt.transport_key': ['receipt', BAD, 'instance-identity'],
  'receipt.request': ['receipt', BAD, 'sourced-data'],
  'receipt.nonce': ['receipt', BAD, 'sourced-data'],
  'receipt.output': ['receipt', BAD, 'sourced-data'],
  'receipt.time': ['receipt', BAD, 'sourced-data'],
  'receipt.fork': ['receipt', BAD, 'sourced-data'],
}
const SUBMODULES: readonly Submodule[] = ['tpm', 'tee', 'workload', 'receipt']

export interface EarVerifier {
  developer: string
  build: string
}

/**
 * The EAR of a verdict made under `policy` at `nowMs`. It is not signed: who passes it on signs it (as the claims of
 * a JWT), because only their word makes it more than a note to oneself.
 */
export async function earOf(
  verdict: Verdict,
  policy: Policy,
  verifier: EarVerifier,
  nowMs = Date.now(),
): Promise<Ear> {
  const policyId = `ni:///sha-256;${toBase64url(await sha256(canonicalBytes(policy)))}`
  const submods: Ear['submods'] = {}
  const tpm = statusOf(checksOf(verdict, 'tpm'))
  for (const of of SUBMODULES) {
    const checks = checksOf(verdict, of)
    if (!isJudged(checks)) continue
    const claims = attesterClaims(verdict, of)
    submods[of] = {
      ear_status: of === 'tpm' ? tpm : worst([statusOf(checks), tpm]),
      ear_trustworthiness_vector: vectorOf(checks),
      ear_appraisal_policy_ids: [policyId],
      ...(claims && { ear_attester_claims: claims }),
      ear_verifier_claims: { checks, outcome: verdict.outcome },
    }
  }
  return {
    eat_profile: EAR_PROFILE,
    iat: Math.floor(nowMs / 1000),
    ear_verifier_id: { build: verifier.build, developer: verifier.developer },
    submods,
  }
}

/** AR4SI's tier of a claim's value. */
export const tierOf = (value: number): Tier =>
  value >= 96 ? 'contraindicated' : value >= 32 ? 'warning' : value >= 2 ? 'affirming' : 'none'

const checksOf = (verdict: Verdict, of: Submodule): CheckEntry[] =>
  verdict.checks.filter(({ id }) => PLACES[id][0] === of)

/** Whether there is anything to say: a check was made, or had to be. */
const isJudged = (checks: readonly CheckEntry[]): boolean =>
  checks.some(({ required, result }) => required || result !== 'skip')

const claimValue = (check: CheckEntry, affirmed: number): number =>
  ({ pass: affirmed, skip: NONE, fail: PLACES[check.id][1] })[check.result]

/** Contraindicated before warning before none before affirming: one skipped check is enough to affirm nothing. */
function worst(tiers: readonly Tier[]): Tier {
  const order: readonly Tier[] = ['contraindicated', 'warning', 'none', 'affirming']
  return order.find((tier) => tiers.includes(tier)) ?? 'none'
}

const statusOf = (checks: readonly CheckEntry[]): Tier =>
  worst(checks.map((check) => tierOf(claimValue(check, AFFIRMED.configuration))))

/** Each claim that a check counts for: the highest denial there is, else nothing where one was skipped. */
function vectorOf(checks: readonly CheckEntry[]): Appraisal['ear_trustworthiness_vector'] {
  const vector: Appraisal['ear_trustworthiness_vector'] = {}
  for (const claim of Object.keys(AFFIRMED) as TrustClaim[]) {
    const values = checks
      .filter(({ id }) => PLACES[id].slice(2).includes(claim))
      .map((check) => claimValue(check, AFFIRMED[claim]))
    if (values.length === 0) continue
    const denied = Math.max(...values)
    vector[claim] = denied >= BAD ? denied : Math.min(...values)
  }
  return vector
}

/** What the evidence says of itself, where it could be read; it stands whatever the appraisal. */
function attesterClaims({ claims }: Verdict, of: Submodule): Appraisal['ear_attester_claims'] {
  const { firmware, image, instance, tee, workload, ...session } = claims
  const machine = {
    ...(firmware && { firmware }),
    ...(image && { image }),
    ...(instance && { instance }),
  }
  if (of === 'tpm') return Object.keys(machine).length > 0 ? machine : undefined
  if (of === 'tee') return tee && { tee }
  if (of === 'workload') return workload === undefined ? undefined : { workload }
  return of === 'receipt' && session.session !== undefined ? session : undefined
}
