// An EFI program as a file (PE/COFF, Microsoft's specification): its sections, and the Authenticode digest that firmware
// measures and signatures are made over. Read strictly as far as these two need it.
import { type Bytes, concat, sha256 } from '../bytes.ts'
import { SealedError } from '../errors.ts'

export interface PeSection {
  name: string
  /** As long as the program says that it is, without what fills up the file. */
  content: Uint8Array
}

export interface PeFile {
  sections: PeSection[]
  /** The parts that the digest is over, in order: all but checksum and signatures. */
  digested: Uint8Array[]
}

const PE32_PLUS = 0x20b
const SIGNATURES = 4
const SECTION_BYTES = 40
/** What `sbsign` fills a file up to, with zeros that are digested. */
const FILE_ALIGNMENT = 8

const bad = (message: string) => new SealedError('evidence.invalid', `EFI program: ${message}`)

/** @throws SealedError `evidence.invalid` for what is no 64-bit EFI program, or has signatures before its end */
export function parsePe(file: Uint8Array): PeFile {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  try {
    return parse(file, view)
  } catch (error) {
    if (error instanceof RangeError) throw bad('cut short')
    throw error
  }
}

/** SHA-256, as PCR 4 and a Secure Boot signature have it. */
export const authenticodeDigest = ({ digested }: PeFile): Promise<Bytes> => sha256(...digested)

function parse(file: Uint8Array, view: DataView): PeFile {
  if (view.getUint16(0) !== 0x4d5a) throw bad('it does not begin with MZ')
  const header = view.getUint32(0x3c, true)
  if (view.getUint32(header) !== 0x50450000) throw bad('no PE header where it should be')
  const optional = header + 24
  if (view.getUint16(optional, true) !== PE32_PLUS) throw bad('not a 64-bit program')
  const checksum = optional + 64
  const directory = optional + 112 + 8 * SIGNATURES
  if (view.getUint32(optional + 108, true) <= SIGNATURES) throw bad('no place for signatures')
  const signatures = view.getUint32(directory, true)
  const signatureBytes = view.getUint32(directory + 4, true)
  if (signatureBytes > 0 && signatures + signatureBytes !== file.length)
    throw bad('signatures that are not its end')
  const end = signatureBytes > 0 ? signatures : file.length
  return {
    sections: sectionsOf(file, view, header, optional + view.getUint16(header + 20, true)),
    digested: [
      file.subarray(0, checksum),
      file.subarray(checksum + 4, directory),
      file.subarray(directory + 8, end),
      new Uint8Array(-end & (FILE_ALIGNMENT - 1)),
    ],
  }
}

function sectionsOf(file: Uint8Array, view: DataView, header: number, table: number): PeSection[] {
  return Array.from({ length: view.getUint16(header + 6, true) }, (_, i) => {
    const at = table + SECTION_BYTES * i
    const size = view.getUint32(at + 8, true)
    const stored = view.getUint32(at + 16, true)
    const start = view.getUint32(at + 20, true)
    if (start + stored > file.length) throw bad('a section beyond its end')
    const content = file.subarray(start, start + Math.min(size, stored))
    const filled = size > stored ? concat(content, new Uint8Array(size - stored)) : content
    return { name: nameOf(file.subarray(at, at + 8)), content: filled }
  })
}

const nameOf = (bytes: Uint8Array) =>
  String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0) < 0 ? 8 : bytes.indexOf(0)))
