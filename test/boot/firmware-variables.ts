// Secure Boot's variables as OVMF keeps them in flash: written before the first start, as a cloud writes those of an
// image. Form: edk2, MdeModulePkg/Include/Guid/VariableFormat.h (authenticated variables).
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GLOBAL, IMAGE_SECURITY } from '../../nix/signature-lists.ts'

const STORE = Buffer.from('782cf3aa7b949a43a1802e144ec37792', 'hex')
/** Kept in flash, seen before and after the system's start, changed by signed writes only. */
const ATTRIBUTES = 0x27
const STORE_HEADER_BYTES = 28
const ADDED = 0x3f

/** Writes a copy of OVMF's empty store with the keys of `keys` (PK, KEK, db, dbx as `.esl`). */
export function writeVariables(empty: string, keys: string, out: string): void {
  const flash = readFileSync(empty)
  const store = flash.indexOf(STORE)
  if (store < 0) throw new Error(`${empty} has no store of authenticated variables`)
  let at = store + STORE_HEADER_BYTES
  for (const [vendor, name] of [
    [GLOBAL, 'PK'],
    [GLOBAL, 'KEK'],
    [IMAGE_SECURITY, 'db'],
    [IMAGE_SECURITY, 'dbx'],
  ] as const) {
    if (flash.readUInt16LE(at) !== 0xffff) throw new Error(`${empty} is not empty`)
    const record = variable(vendor, name, readFileSync(join(keys, `${name}.esl`)))
    record.copy(flash, at)
    at += record.length
  }
  writeFileSync(out, flash)
}

function variable(vendor: Buffer, name: string, data: Buffer): Buffer {
  const header = Buffer.alloc(60)
  const wide = Buffer.from(`${name}\0`, 'utf16le')
  header.writeUInt16LE(0x55aa, 0)
  header.writeUInt8(ADDED, 2)
  header.writeUInt32LE(ATTRIBUTES, 4)
  // Any time of a signature that has been.
  header.writeUInt16LE(2026, 16)
  header.writeUInt8(1, 18)
  header.writeUInt8(1, 19)
  header.writeUInt32LE(wide.length, 36)
  header.writeUInt32LE(data.length, 40)
  vendor.copy(header, 44)
  const whole = Buffer.concat([header, wide, data])
  return Buffer.concat([whole, Buffer.alloc(-whole.length & 3, 0xff)])
}
