// What AMD states in a VCEK certificate: the chip and the patch levels that its key was derived for (AMD publication
// 57230, extensions below 1.3.6.1.4.1.3704.1). Values are read strictly; each extension stands once.
import type { X509Certificate } from '@peculiar/x509'
import type { Bytes } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import type { Tcb, TcbLayout } from './tcb.ts'

const AMD = '1.3.6.1.4.1.3704.1'
const OID = {
  bootloader: `${AMD}.3.1`,
  tee: `${AMD}.3.2`,
  snp: `${AMD}.3.3`,
  reserved: [4, 5, 6, 7].map((n) => `${AMD}.3.${n}`),
  microcode: `${AMD}.3.8`,
  fmc: `${AMD}.3.9`,
  chip: `${AMD}.4`,
  provider: `${AMD}.5`,
}
/** Bytes of hwID: all of CHIP_ID, or what Turin fills of it. */
const CHIP_BYTES: Record<TcbLayout, number> = { milan: 64, turin: 8 }

const bad = (message: string) => new SealedError('evidence.invalid', `VCEK certificate: ${message}`)

export interface Vcek {
  tcb: Tcb
  /** As CHIP_ID has it: 64 bytes. */
  chipId: Bytes
}

/** Reads the extensions. Throws `evidence.invalid` for a certificate that is no VCEK of this kind of processor. */
export function readVcek(certificate: X509Certificate, layout: TcbLayout): Vcek {
  if (extension(certificate, OID.provider)) throw bad('is a VLEK: it names a cloud provider')
  const level = (oid: string): number => {
    const value = extension(certificate, oid)
    if (!value) throw bad(`no patch level ${oid}`)
    return smallInteger(value)
  }
  for (const oid of OID.reserved) {
    const value = extension(certificate, oid)
    if (value && smallInteger(value) !== 0) throw bad(`reserved patch level ${oid} is not zero`)
  }
  if (layout === 'milan' && extension(certificate, OID.fmc)) throw bad('has a level of FMC')
  const chip = extension(certificate, OID.chip)
  if (chip?.length !== CHIP_BYTES[layout]) throw bad('no chip id, or one of another length')
  const chipId = new Uint8Array(64)
  chipId.set(chip)
  return {
    tcb: {
      ...(layout === 'turin' && { fmc: level(OID.fmc) }),
      bootloader: level(OID.bootloader),
      tee: level(OID.tee),
      snp: level(OID.snp),
      microcode: level(OID.microcode),
    },
    chipId,
  }
}

function extension(certificate: X509Certificate, oid: string): Bytes | undefined {
  const found = certificate.getExtensions(oid)
  if (found.length > 1) throw bad(`extension ${oid} stands twice`)
  return found[0] && new Uint8Array(found[0].value)
}

/** A DER INTEGER of one byte's worth. */
function smallInteger(der: Bytes): number {
  const [tag, length, high = 0, low = 0] = der
  if (tag === 2 && length === 1 && der.length === 3 && high < 0x80) return high
  if (tag === 2 && length === 2 && der.length === 4 && high === 0 && low >= 0x80) return low
  throw bad('a patch level is not an integer of one byte')
}
