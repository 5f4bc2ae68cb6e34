// The partition table around a volume: by it a kernel knows where the volume ends on a disk that is larger. Nobody believes
// what it says: a volume is told by its root hash.
import { crc32 } from 'node:zlib'

const SECTOR = 512
const MIB = 1024 * 1024
const ENTRIES = 128
const ENTRY_BYTES = 128
const TABLE_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR
const HEADER_BYTES = 92
/** Where the volume begins. */
export const VOLUME_START = MIB
/** Of our own: no tool takes it for a file system that it should mount or format. */
const TYPE = '5ea1ed00-0000-4000-8000-000000000009'
export const NAME = 'sealed-weights'

export interface Table {
  /** From the beginning of the disk. */
  head: Uint8Array
  /** To its end. */
  tail: Uint8Array
  diskBytes: number
}

/** Around a volume of `bytes`, a multiple of a sector's; the identifiers are the halves of its root hash. */
export function tableAround(bytes: number, rootHash: string): Table {
  const diskBytes = Math.ceil((VOLUME_START + bytes + (TABLE_SECTORS + 1) * SECTOR) / MIB) * MIB
  const last = diskBytes / SECTOR - 1
  const entries = new Uint8Array(TABLE_SECTORS * SECTOR)
  const entry = new DataView(entries.buffer)
  entries.set(identifier(TYPE))
  entries.set(identifier(rootHash.slice(0, 32)), 16)
  entry.setBigUint64(32, BigInt(VOLUME_START / SECTOR), true)
  entry.setBigUint64(40, BigInt((VOLUME_START + bytes) / SECTOR - 1), true)
  for (const [i, character] of [...NAME].entries())
    entry.setUint16(56 + 2 * i, character.charCodeAt(0), true)

  const header = (here: number, other: number, table: number) => {
    const sector = new Uint8Array(SECTOR)
    const fields = new DataView(sector.buffer)
    sector.set(Buffer.from('EFI PART'))
    fields.setUint32(8, 0x10000, true)
    fields.setUint32(12, HEADER_BYTES, true)
    fields.setBigUint64(24, BigInt(here), true)
    fields.setBigUint64(32, BigInt(other), true)
    fields.setBigUint64(40, BigInt(TABLE_SECTORS + 2), true)
    fields.setBigUint64(48, BigInt(last - TABLE_SECTORS - 1), true)
    sector.set(identifier(rootHash.slice(32)), 56)
    fields.setBigUint64(72, BigInt(table), true)
    fields.setUint32(80, ENTRIES, true)
    fields.setUint32(84, ENTRY_BYTES, true)
    fields.setUint32(88, crc32(entries), true)
    fields.setUint32(16, crc32(sector.subarray(0, HEADER_BYTES)), true)
    return sector
  }
  const head = new Uint8Array((TABLE_SECTORS + 2) * SECTOR)
  head.set(protective(last))
  head.set(header(1, last, 2), SECTOR)
  head.set(entries, 2 * SECTOR)
  const tail = new Uint8Array((TABLE_SECTORS + 1) * SECTOR)
  tail.set(entries)
  tail.set(header(last, 1, last - TABLE_SECTORS), entries.length)
  return { head, tail, diskBytes }
}

/** For programs that know no such table: one partition of a kind that they leave alone. */
function protective(last: number): Uint8Array {
  const sector = new Uint8Array(SECTOR)
  const fields = new DataView(sector.buffer)
  sector.set([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff], 446)
  fields.setUint32(454, 1, true)
  fields.setUint32(458, Math.min(last, 0xffffffff), true)
  fields.setUint16(510, 0xaa55, true)
  return sector
}

/** 32 hex digits as they are written, in the order of bytes that a table has: the first three parts reversed. */
function identifier(text: string): Uint8Array {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  return Buffer.concat([
    bytes.subarray(0, 4).reverse(),
    bytes.subarray(4, 6).reverse(),
    bytes.subarray(6, 8).reverse(),
    bytes.subarray(8),
  ])
}
