// What GCE's firmware says of its machine in PCR 0: its version and the confidential technology. It measures a version
// string and one byte, not code, so this is a claim of the virtual TPM and never proof of the processor.
import { type Bytes, concat, equal, sha256, utf8 } from '../bytes.ts'
import { extendedOnce } from '../quote.ts'

/** In the order of the byte that the firmware measures. */
export const TECHNOLOGIES = ['none', 'sev', 'sev-es', 'tdx', 'sev-snp'] as const
export type Technology = (typeof TECHNOLOGIES)[number]
const VERSIONS = [1, 2]

export interface GceFirmware {
  technology: Technology
  version: number
}

/** Value of PCR 0: version string (UTF-16, little-endian), "NonHostInfo" with the technology's byte, separator. */
export async function gcePcr0({ technology, version }: GceFirmware): Promise<Bytes> {
  const text = utf8(`GCE Virtual Firmware v${version}\0`)
  const wide = new Uint8Array(2 * text.length)
  for (const [i, byte] of text.entries()) wide[2 * i] = byte
  const machine = Uint8Array.of(TECHNOLOGIES.indexOf(technology), ...new Uint8Array(15))
  let pcr = await extendedOnce(await sha256(wide))
  pcr = await sha256(pcr, await sha256(concat(utf8('GCE NonHostInfo\0'), machine)))
  return sha256(pcr, await sha256(new Uint8Array(4)))
}

/** The firmware whose value this is, where it is one of GCE's. */
export async function gceFirmware(pcr0: Uint8Array | undefined): Promise<GceFirmware | undefined> {
  if (!pcr0) return undefined
  for (const version of VERSIONS)
    for (const technology of TECHNOLOGIES)
      if (equal(pcr0, await gcePcr0({ technology, version }))) return { technology, version }
  return undefined
}
