// A disk as small as one can be that has every part that is measured: for tests, and built by hand so that they can bend it.
import { concat, sha256, toHex, utf8 } from '../bytes.ts'
import type { ReadDisk } from './disk.ts'

const SECTOR = 512
const BLOCK = 4096
export const SALT = '5a'.repeat(32)
export const ROOT_BLOCKS = 130

const bytes = (length: number) => new Uint8Array(length)
const view = (of: Uint8Array) => new DataView(of.buffer, of.byteOffset, of.byteLength)

/** An EFI program with these sections, and, after it, signatures of this length. */
export function pe(sections: readonly [string, Uint8Array][], signatureBytes = 0): Uint8Array {
  const header = bytes(1024)
  const fields = view(header)
  header.set(utf8('MZ'))
  fields.setUint32(0x3c, 64, true)
  header.set(utf8('PE'), 64)
  fields.setUint16(70, sections.length, true)
  fields.setUint16(84, 240, true)
  fields.setUint16(88, 0x20b, true)
  fields.setUint32(88 + 108, 16, true)
  const parts: Uint8Array[] = [header]
  let at = header.length
  for (const [i, [name, content]] of sections.entries()) {
    const entry = 88 + 240 + 40 * i
    const stored = Math.ceil(content.length / SECTOR) * SECTOR
    header.set(utf8(name), entry)
    fields.setUint32(entry + 8, content.length, true)
    fields.setUint32(entry + 16, stored, true)
    fields.setUint32(entry + 20, at, true)
    parts.push(concat(content, bytes(stored - content.length)))
    at += stored
  }
  if (signatureBytes > 0) {
    fields.setUint32(88 + 112 + 32, at, true)
    fields.setUint32(88 + 112 + 36, signatureBytes, true)
    parts.push(bytes(signatureBytes).fill(7))
  }
  return concat(...parts)
}

/** Blocks of a root, each unlike the others. */
export const root = (): Uint8Array =>
  concat(...Array.from({ length: ROOT_BLOCKS }, (_, i) => bytes(BLOCK).fill(i)))

/** The hash of `root()` under SALT, said another way than the code under test does: level by level, written out. */
export async function rootHash(of: Uint8Array): Promise<string> {
  const salt = bytes(32).fill(0x5a)
  let level = of
  do {
    const hashes = []
    for (let at = 0; at < level.length; at += BLOCK)
      hashes.push(await sha256(salt, level.subarray(at, at + BLOCK)))
    const joined = concat(...hashes)
    level = concat(joined, bytes(-joined.length & (BLOCK - 1)))
  } while (level.length > BLOCK)
  return toHex(await sha256(salt, level))
}

export const uki = (commandLine: string): Uint8Array =>
  pe([
    ['.text', bytes(100).fill(1)],
    ['.cmdline', utf8(commandLine)],
    ['.initrd', bytes(700).fill(2)],
    ['.linux', pe([['.text', bytes(600).fill(3)]])],
    ['.sbat', utf8('sbat,1')],
  ])

/** GPT, a FAT32 with EFI/BOOT/BOOTX64.EFI over several clusters, and a root. */
export function disk(program: Uint8Array, rootBytes: Uint8Array, espType = ESP): Uint8Array {
  const esp = fat32(program)
  const start = 64 * SECTOR
  const rootStart = start + esp.length
  const whole = bytes(rootStart + rootBytes.length + SECTOR)
  whole.set(utf8('EFI PART'), SECTOR)
  const header = view(whole.subarray(SECTOR, 2 * SECTOR))
  header.setBigUint64(72, 2n, true)
  header.setUint32(80, 4, true)
  header.setUint32(84, 128, true)
  partition(whole, 0, espType, start, esp.length, 'esp')
  partition(whole, 1, bytes(16).fill(9), rootStart, rootBytes.length, 'sealed-root')
  whole.set(esp, start)
  whole.set(rootBytes, rootStart)
  return whole
}

export const readOf =
  (whole: Uint8Array): ReadDisk =>
  async (offset, length) => {
    if (offset + length > whole.length) throw new Error('beyond the disk')
    return whole.subarray(offset, offset + length)
  }

const ESP = Uint8Array.from([
  0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
])

function partition(
  whole: Uint8Array,
  index: number,
  type: Uint8Array,
  start: number,
  length: number,
  name: string,
): void {
  const entry = whole.subarray(2 * SECTOR + 128 * index)
  entry.set(type)
  view(entry).setBigUint64(32, BigInt(start / SECTOR), true)
  view(entry).setBigUint64(40, BigInt((start + length) / SECTOR - 1), true)
  for (const [i, character] of [...name].entries())
    view(entry).setUint16(56 + 2 * i, character.charCodeAt(0), true)
}

/** One sector a cluster; the table has room for a thousand of them. */
function fat32(program: Uint8Array): Uint8Array {
  const tableSectors = 8
  const clusters = 3 + Math.ceil(program.length / SECTOR)
  const whole = bytes((1 + tableSectors + clusters) * SECTOR)
  const boot = view(whole)
  boot.setUint16(11, SECTOR, true)
  boot.setUint8(13, 1)
  boot.setUint16(14, 1, true)
  boot.setUint8(16, 1)
  boot.setUint32(36, tableSectors, true)
  boot.setUint32(44, 2, true)
  boot.setUint16(510, 0x55aa)
  const table = view(whole.subarray(SECTOR))
  for (const folder of [2, 3, 4]) table.setUint32(4 * folder, 0x0fffffff, true)
  for (let i = 5; i < clusters + 1; i++) table.setUint32(4 * i, i + 1, true)
  table.setUint32(4 * (clusters + 1), 0x0fffffff, true)
  const data = (cluster: number) => (1 + tableSectors + cluster - 2) * SECTOR
  entry(whole, data(2), 'EFI        ', 3, 0)
  entry(whole, data(3), 'BOOT       ', 4, 0)
  entry(whole, data(4), 'BOOTX64 EFI', 5, program.length)
  whole.set(program, data(5))
  return whole
}

function entry(whole: Uint8Array, at: number, name: string, cluster: number, size: number): void {
  whole.set(utf8(name), at)
  const fields = view(whole.subarray(at))
  fields.setUint16(26, cluster, true)
  fields.setUint32(28, size, true)
}
