// TCB_VERSION of AMD's secure processor: security patch levels, one byte each. Turin orders them otherwise than Milan
// and Genoa do, and adds FMC (AMD publications 56860 and 57230).
import type { Bytes } from '../bytes.ts'
import { TeeReader } from './reader.ts'

export type TcbLayout = 'milan' | 'turin'

/** Security patch levels; `fmc` where the processor has it. */
export interface Tcb {
  fmc?: number
  bootloader: number
  tee: number
  snp: number
  microcode: number
}

export const TCB_PARTS = ['fmc', 'bootloader', 'tee', 'snp', 'microcode'] as const

export function parseTcb(bytes: Bytes, layout: TcbLayout): Tcb {
  const r = new TeeReader(bytes, 'TCB version')
  if (layout === 'milan') {
    const [bootloader, tee] = [r.u8(), r.u8()]
    r.zeros(4)
    return { bootloader, tee, snp: r.u8(), microcode: r.u8() }
  }
  const [fmc, bootloader, tee, snp] = [r.u8(), r.u8(), r.u8(), r.u8()]
  r.zeros(3)
  return { fmc, bootloader, tee, snp, microcode: r.u8() }
}

/** True when no level of `a` is below that of `least`; a level that `a` lacks is below any. */
export const tcbAtLeast = (a: Tcb, least: Partial<Tcb>): boolean =>
  TCB_PARTS.every((part) => least[part] === undefined || (a[part] ?? -1) >= least[part])

export const tcbEqual = (a: Tcb, b: Tcb): boolean => TCB_PARTS.every((part) => a[part] === b[part])

export const tcbText = (tcb: Tcb): string =>
  TCB_PARTS.flatMap((part) => (tcb[part] === undefined ? [] : [`${part} ${tcb[part]}`])).join(', ')
