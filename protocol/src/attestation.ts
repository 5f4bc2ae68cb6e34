// The attestation document of one boot: keys, evidence and the measured configuration. Addressed by the SHA-256 of
// its canonical bytes; made fresh for a caller by a challenge quote beside it.
import * as v from 'valibot'
import { type Bytes, fromHex, sha256Hex } from './bytes.ts'
import { MAX_EVENT_LOG } from './event-log.ts'
import { canonicalBytes, parseCanonical } from './json.ts'
import { keySetSchema, transportKeySchema } from './key-set.ts'
import { launchSchema } from './launch.ts'
import { base64url, check, destination, digest, hex, integer, models, name } from './schema.ts'
import { unsealedReason } from './unsealed.ts'

export const quoteSchema = v.strictObject({ attest: base64url(1024), signature: base64url(1024) })
export type QuoteRecord = v.InferOutput<typeof quoteSchema>

export const egressRuleSchema = v.strictObject({
  address: destination,
  port: integer(1, 65535),
  protocol: v.picklist(['tcp', 'udp']),
})
export type EgressRule = v.InferOutput<typeof egressRuleSchema>

/** What is measured into PCR 8, as the SHA-256 of its canonical bytes. */
export const configurationSchema = v.strictObject({
  attribution: name,
  authorities: v.array(
    v.strictObject({ id: hex(16), public_key: v.pipe(base64url(32), v.length(43)) }),
  ),
  metering: v.picklist(['required', 'optional']),
  /** On a machine that cannot seal: why. */
  unsealed: v.exactOptional(unsealedReason),
  version: v.literal(1),
  workloads: v.array(
    v.strictObject({
      activations: v.picklist(['none', 'safetensors']),
      /** SHA-256 of the workload file's bytes. */
      digest,
      egress: v.array(egressRuleSchema),
      image: digest,
      /** What may stand as `model` in a request for it; documents of earlier versions do not say. */
      models: v.exactOptional(models),
      name,
      prefix_cache: v.picklist(['off', 'unknown']),
      seal_policy: v.picklist(['request', 'epoch', 'permanent']),
      /** Root hashes of the volumes that are mounted into it, in the order of its file. */
      weights: v.exactOptional(v.pipe(v.array(digest), v.minLength(1), v.maxLength(8))),
    }),
  ),
})
export type Configuration = v.InferOutput<typeof configurationSchema>

/** A report by the processor. What stands beside it is judged against it, so that only the report itself is quoted. */
export const teeReportSchema = v.strictObject({
  /** SEV-SNP: DER certificates, VCEK, ASK, ARK. A TDX quote carries its own. */
  certificates: v.exactOptional(v.pipe(v.array(base64url(8192)), v.maxLength(4))),
  /** TDX: the CCEL, without the padding behind it. */
  event_log: v.exactOptional(base64url(262144)),
  kind: v.picklist(['sev-snp', 'tdx']),
  report: base64url(16384),
})
export type TeeReport = v.InferOutput<typeof teeReportSchema>

const documentMembers = v.strictObject({
  ak: v.exactOptional(
    v.strictObject({
      /** DER certificates: leaf first, root last. */
      chain: v.pipe(v.array(base64url(8192)), v.maxLength(6)),
      /** TPMT_PUBLIC. */
      public: base64url(1024),
    }),
  ),
  configuration: configurationSchema,
  event_log: v.exactOptional(base64url(MAX_EVENT_LOG)),
  key_set: keySetSchema,
  /** Where the workload was chosen when the machine was started. */
  launch: v.exactOptional(launchSchema),
  pcrs: v.pipe(v.array(v.strictObject({ digest, index: integer(0, 23) })), v.maxLength(24)),
  quote: v.exactOptional(quoteSchema),
  started_ms: integer(),
  tee_report: v.exactOptional(teeReportSchema),
  transport_keys: v.pipe(v.array(transportKeySchema), v.minLength(1), v.maxLength(4)),
  version: v.literal(1),
})
/** A machine has a TPM, with all that it says, or its configuration says `unsealed` and nothing here is a TPM's. */
export const attestationDocumentSchema = v.pipe(
  documentMembers,
  v.check(
    ({ ak, configuration, event_log, launch, pcrs, quote, tee_report }) =>
      configuration.unsealed === undefined
        ? ak !== undefined && quote !== undefined
        : !ak && !quote && event_log === undefined && !launch && !tee_report && pcrs.length === 0,
    'ak and quote stand, or the configuration says unsealed and there is no evidence at all',
  ),
)
export type AttestationDocument = v.InferOutput<typeof attestationDocumentSchema>
/** One of a machine with a TPM. */
export type QuotedDocument = AttestationDocument &
  Required<Pick<AttestationDocument, 'ak' | 'quote'>>

export const challengeSchema = v.strictObject({
  index: integer(0, 65535),
  path: v.pipe(v.array(digest), v.maxLength(16)),
  quote: quoteSchema,
  size: integer(1, 65536),
})

/** Answer to `GET /v1/attestation?nonce=`: the document, and a quote over the nonce's place in a tree of challenges. */
export const attestationAnswerSchema = v.strictObject({
  challenge: v.exactOptional(challengeSchema),
  document: attestationDocumentSchema,
})
export type AttestationAnswer = v.InferOutput<typeof attestationAnswerSchema>

export const documentDigest = (document: AttestationDocument): Promise<string> =>
  sha256Hex(canonicalBytes(document))

/** Parses canonical bytes; throws `json.*` or `evidence.invalid`. */
export const parseAttestationDocument = (bytes: Uint8Array): AttestationDocument =>
  check(
    attestationDocumentSchema,
    parseCanonical(bytes),
    'attestation document',
    'evidence.invalid',
  )

export const parseAttestationAnswer = (bytes: Uint8Array): AttestationAnswer =>
  check(attestationAnswerSchema, parseCanonical(bytes), 'attestation', 'evidence.invalid')

/** The document's PCR values by index. */
export const pcrMap = (document: AttestationDocument): Map<number, Bytes> =>
  new Map(document.pcrs.map(({ index, digest }) => [index, fromHex(digest)]))
