// reference-values.json, which an image's build emits beside the disk: what a policy names of the image, and from which
// parts it was made. It is the word of whoever published it; `sealed image verify` recomputes the values from a disk.
import * as v from 'valibot'
import { parseStrict } from '../json.ts'
import { imageSchema, type Policy } from '../policy.ts'
import { check, digest, hex, integer, text } from '../schema.ts'

export const referenceValuesSchema = v.strictObject({
  /** The kernel's, as it is measured. */
  command_line: text(4096),
  /** For a policy's `images`. */
  image: imageSchema,
  /** What the image holds besides our own programs, by name and version. */
  packages: v.array(v.strictObject({ name: text(128), version: text(128) })),
  /** Of dm-verity, hex; on the command line too. */
  root_hash: digest,
  /** Register 2 of a TDX machine, hex; for a policy's `tee.tdx.rtmrs`. */
  rtmr2: hex(48),
  /** It takes over a state partition that a lower one made, and no lower one opens it again. */
  security_version: integer(1, 64),
  version: v.literal(1),
})
export type ReferenceValues = v.InferOutput<typeof referenceValuesSchema>

/** Throws `json.invalid` or `config.invalid`. */
export const parseReferenceValues = (source: string): ReferenceValues =>
  check(referenceValuesSchema, parseStrict(source), 'reference values', 'config.invalid')

/** The image in the place of what the machine states of itself: its PCRs, and on TDX the register that it fills. */
export function pinImage({ tee, ...drawn }: Policy, { image, rtmr2 }: ReferenceValues): Policy {
  const { tdx } = tee ?? {}
  const others = (tdx?.rtmrs ?? []).filter(({ index }) => index !== 2)
  const rtmrs = [...others, { digests: [rtmr2], index: 2 }].sort((a, b) => a.index - b.index)
  return {
    ...drawn,
    images: [image],
    ...(tee && { tee: tdx ? { ...tee, tdx: { ...tdx, rtmrs } } : tee }),
  }
}
