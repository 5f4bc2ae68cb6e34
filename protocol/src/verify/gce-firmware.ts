// What GCE's firmware says of its machine in PCR 0: its version and the confidential technology. It measures a version
// string and one byte, not code, so this is a claim of the virtual TPM and never proof of the processor.
import { toHex } from '../bytes.ts'

/** In the order of the byte that the firmware measures. */
export const TECHNOLOGIES = ['none', 'sev', 'sev-es', 'tdx', 'sev-snp'] as const
export type Technology = (typeof TECHNOLOGIES)[number]

export interface GceFirmware {
  technology: Technology
  version: number
}

/** Values of PCR 0 by firmware version, then technology; SPEC.md, "Measurements", says what they are made of. */
const PCR_0: readonly (readonly string[])[] = [
  [
    '24af52a4f429b71a3184a6d64cddad17e54ea030e2aa6576bf3a5a3d8bd3328f',
    '0f35c214608d93c7a6e68ae7359b4a8be5a0e99eea9107ece427c4dea4e439cf',
    '52449c18e0074376e39dab6d2fef9e5c42aa9fbeca14e0e5ad6b58fc54316f55',
    '8bb11faf0ca490cdf944cf37a10aefebe37c235630542ddd14d22088e933de8a',
    'eadffa42b8bfc1e7154202876c588e7a53f39f620d946fbb09a36b4365d46ab9',
  ],
  [
    'd0c70a9310cd0b55767084333022ce53f42befbb69c059ee6c0a32766f160783',
    'a0b5ff3383a1116bd7dc6df177c0c2d433b9ee1813ea958fa5d166a202cb2a85',
    'e26062f05fe819a16111273597662f87e0abfdae22fcb5ec4843b01bf225ce75',
    '0cca9ec161b09288802e5a112255d21340ed5b797f5fe29cecccfd8f67b9f802',
    '50597a27846e91d025eef597abbc89f72bff9af849094db97b0684d8bc4c515e',
  ],
]

/** The firmware whose value this is, where it is one of GCE's. */
export function gceFirmware(pcr0: Uint8Array | undefined): GceFirmware | undefined {
  const value = pcr0 && toHex(pcr0)
  for (const [row, values] of PCR_0.entries())
    for (const [column, technology] of TECHNOLOGIES.entries())
      if (values[column] === value) return { technology, version: row + 1 }
  return undefined
}
