// What an embassy says of itself for people: gateway → embassy, `GET /overview`. It is public, and nothing in it is
// proven; receipts and attestation are for that.
import * as v from 'valibot'
import { listedWorkload, statusSchema } from './rpc.ts'
import { digest, integer, name, text } from './schema.ts'

export const overviewSchema = v.strictObject({
  attestation: v.strictObject({
    /** Digest of the document in use. */
    document: digest,
    /** What is in it, as policies name it: `tpm`, `event-log`, `sev-snp`, `tdx`. */
    evidence: v.array(name),
  }),
  /** The newest checkpoint of the log of this boot, where there is one yet. */
  checkpoint: v.exactOptional(
    v.strictObject({ origin: text(128), size: integer(), utc_ms: integer() }),
  ),
  metering: v.picklist(['required', 'optional']),
  ...statusSchema.entries,
  workloads: v.array(
    v.strictObject({
      ...listedWorkload,
      /** Replicas that there are to be, and that nobody uses. */
      replicas: integer(),
      replicas_idle: integer(),
      seal_policy: v.picklist(['request', 'epoch', 'permanent']),
      /** Sessions that wait for a replica. */
      waiting: integer(),
    }),
  ),
})
export type Overview = v.InferOutput<typeof overviewSchema>
