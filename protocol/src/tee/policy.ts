// What a policy may say about TEE evidence, and the roots that are trusted where it names none.
import * as v from 'valibot'
import { digest, hex, integer } from '../schema.ts'

const roots = v.pipe(v.array(digest), v.minLength(1))
const measurements = v.pipe(v.array(hex(48)), v.minLength(1))
const level = v.exactOptional(integer(0, 255))

export const teePolicySchema = v.strictObject({
  snp: v.exactOptional(
    v.strictObject({
      /** Whether a guest may run where the host may use SMT, as on Google's machines. */
      allow_smt: v.exactOptional(v.boolean()),
      /** MEASUREMENTs accepted: of the firmware, with the number of processors. */
      measurements: v.exactOptional(measurements),
      /** Least security patch levels. */
      min_tcb: v.exactOptional(
        v.strictObject({ bootloader: level, fmc: level, microcode: level, snp: level, tee: level }),
      ),
      /** SHA-256 of the DER ARK certificates trusted in place of AMD's. */
      roots: v.exactOptional(roots),
    }),
  ),
  tdx: v.exactOptional(
    v.strictObject({
      /** MRSEAMs accepted: of the TDX module. */
      mr_seam: v.exactOptional(measurements),
      /** MRTDs accepted: of the firmware. */
      mrtd: v.exactOptional(measurements),
      /** SHA-256 of the DER root certificates trusted in place of Intel's. */
      roots: v.exactOptional(roots),
      /** RTMRs that must have one of the digests: of what booted. */
      rtmrs: v.exactOptional(
        v.pipe(
          v.array(v.strictObject({ digests: measurements, index: integer(0, 3) })),
          v.minLength(1),
        ),
      ),
    }),
  ),
})
export type TeePolicy = v.InferOutput<typeof teePolicySchema>

/** AMD's root keys: ARK-Milan, ARK-Genoa, ARK-Turin. */
export const AMD_ARK_ROOTS = [
  '69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd',
  '4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1',
  '1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a',
]
/** Intel SGX Root CA, which stands above the certificates of TDX machines too. */
export const INTEL_SGX_ROOTS = ['44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3']
