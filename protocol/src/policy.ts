// A verifier's policy: whose word it takes and what it insists on. A file that a person reviewed, or the strict
// default, which no software TPM passes.
import * as v from 'valibot'
import { fromUtf8 } from './bytes.ts'
import { witnessKeySchema } from './cosignature.ts'
import { parseStrict } from './json.ts'
import { check, digest, hex, integer, text } from './schema.ts'
import { teePolicySchema } from './tee/policy.ts'

const distinct = (values: readonly string[]) => new Set(values).size === values.length

/** Witnesses known, and how many of them must have cosigned; with 0 a receipt may do without. */
const witnessesSchema = v.pipe(
  v.strictObject({
    keys: v.pipe(v.array(witnessKeySchema), v.maxLength(16)),
    quorum: integer(0, 16),
  }),
  v.check(({ keys, quorum }) => quorum <= keys.length, 'the quorum is above the number of keys'),
  v.check(
    ({ keys }) =>
      distinct(keys.map(({ name }) => name)) && distinct(keys.map((key) => key.public_key)),
    'a witness stands twice',
  ),
)

/** Reference values of one version of an image: a document fits it wholly or not at all. */
export const imageSchema = v.strictObject({
  name: text(64),
  /** Each PCR named must have one of the digests. */
  pcrs: v.pipe(
    v.array(
      v.strictObject({ digests: v.pipe(v.array(digest), v.minLength(1)), index: integer(0, 23) }),
    ),
    v.minLength(1),
    // A second row for one PCR would say nothing, or something else.
    v.check(
      (rows) => new Set(rows.map(({ index }) => index)).size === rows.length,
      'must name a PCR once',
    ),
  ),
  /** Authenticode digests of the EFI applications it boots, in order: the unified kernel image, then its kernel. */
  uki: v.exactOptional(v.pipe(v.array(digest), v.minLength(1))),
  version: text(64),
})
export type Image = v.InferOutput<typeof imageSchema>

const names = v.pipe(v.array(text(64)), v.minLength(1))

export const policySchema = v.strictObject({
  /** SHA-256 of the DER root certificates that may vouch for an attestation key. */
  ak_roots: v.pipe(v.array(digest), v.minLength(1)),
  /** Authorities that must be present in the measured configuration. */
  authorities: v.array(hex(16)),
  /** Kinds of evidence without which nothing is verified; `tee` is either of the two after it. */
  evidence: v.pipe(
    v.array(v.picklist(['tpm', 'event-log', 'tee', 'sev-snp', 'tdx'])),
    v.includes('tpm'),
  ),
  /** Reference values; a document must fit one of them. */
  images: v.array(imageSchema),
  /** Where the machine must run, as the certificate of its attestation key says. */
  instances: v.exactOptional(
    v.strictObject({ projects: v.exactOptional(names), zones: v.exactOptional(names) }),
  ),
  /** Oldest checkpoint accepted, in milliseconds before now; absent for receipts kept for years. */
  max_age_ms: v.exactOptional(integer(1)),
  metering: v.picklist(['required', 'optional']),
  name: text(64),
  seal_policies: v.pipe(v.array(v.picklist(['request', 'epoch', 'permanent'])), v.minLength(1)),
  /** What TEE evidence must show; without it AMD's and Intel's roots are trusted, and nothing is relaxed. */
  tee: v.exactOptional(teePolicySchema),
  version: v.literal(1),
  witnesses: v.exactOptional(witnessesSchema),
  /** Digests of the workload files accepted. */
  workloads: v.array(digest),
})
export type Policy = v.InferOutput<typeof policySchema>

/** Parses a policy file, its text or its bytes; throws `encoding.invalid`, `json.invalid` or `config.invalid`. */
export const parsePolicy = (source: string | Uint8Array): Policy =>
  checkPolicy(parseStrict(typeof source === 'string' ? source : fromUtf8(source)))

/** What is to be a policy already: one that nobody parsed may lack a member, or have one that means nothing. */
export const checkPolicy = (value: unknown): Policy =>
  check(policySchema, value, 'policy', 'config.invalid')

/** Roots of Google's endorsement and attestation keys: `EK/AK CA Root` and the older `tpm_ek_root_1`. */
export const GOOGLE_AK_ROOTS = [
  '594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2',
  '9bd5285f8fb18502a7947e621ffd470266f49fcd3b73e19a190f690ad32a7caf',
]

/** Used when no policy is given: real hardware, nothing accepted that was not named. */
export const STRICT_POLICY: Policy = {
  ak_roots: GOOGLE_AK_ROOTS,
  authorities: [],
  evidence: ['tpm', 'event-log', 'tee'],
  images: [],
  metering: 'required',
  name: 'strict',
  seal_policies: ['request', 'epoch', 'permanent'],
  version: 1,
  workloads: [],
}
