// reference-values.json, which an image's build emits beside the disk: what a policy names of the image, and from which
// parts it was made. It is the word of whoever published it; `sealed image verify` recomputes the values from a disk.
import * as v from 'valibot'
import { parseStrict } from '../json.ts'
import { imageSchema } from '../policy.ts'
import { check, digest, integer, text } from '../schema.ts'

export const referenceValuesSchema = v.strictObject({
  /** The kernel's, as it is measured. */
  command_line: text(4096),
  /** For a policy's `images`. */
  image: imageSchema,
  /** What the image holds besides our own programs, by name and version. */
  packages: v.array(v.strictObject({ name: text(128), version: text(128) })),
  /** Of dm-verity, hex; on the command line too. */
  root_hash: digest,
  /** It takes over a state partition that a lower one made, and no lower one opens it again. */
  security_version: integer(1, 64),
  version: v.literal(1),
})
export type ReferenceValues = v.InferOutput<typeof referenceValuesSchema>

/** Throws `json.invalid` or `config.invalid`. */
export const parseReferenceValues = (source: string): ReferenceValues =>
  check(referenceValuesSchema, parseStrict(source), 'reference values', 'config.invalid')
