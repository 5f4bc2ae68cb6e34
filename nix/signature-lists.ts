// EFI signature lists (UEFI specification, 32.4.1): what a machine's Secure Boot variables hold, and what PCR 7 is after
// a start under them. With our own keys in all four and nothing else, it has one value.
import { createHash } from 'node:crypto'

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u64 = (value: number) => Buffer.concat([u32(value), u32(0)])

/** Owner of what we put in: any fixed value does. */
const OWNER = Buffer.from('00ed a15e 0000 0040 8000 0000 0000 0007'.replaceAll(' ', ''), 'hex')
const X509 = Buffer.from('a159c0a5e494a74a87b5ab155c2bf072', 'hex')
const SHA256 = Buffer.from('2616c4c14c509240aca941f936934328', 'hex')
export const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex')
export const IMAGE_SECURITY = Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex')

const list = (type: Buffer, content: Buffer) =>
  Buffer.concat([
    ...[type, u32(28 + 16 + content.length), u32(0), u32(16 + content.length)],
    ...[OWNER, content],
  ])

/** The list of one certificate, in DER. */
export const certificateList = (der: Buffer): Buffer => list(X509, der)
/** Forbids one digest that no program has: an empty list is left to a cloud to fill. */
export const NOTHING_FORBIDDEN = list(SHA256, Buffer.alloc(32))

export interface SecureBootLists {
  PK: Buffer
  KEK: Buffer
  db: Buffer
  dbx: Buffer
}

/** PCR 7 where firmware started a program that db's one certificate vouches for. */
export function secureBootPcr(lists: SecureBootLists): Buffer {
  const events = [
    variable(GLOBAL, 'SecureBoot', Buffer.from([1])),
    variable(GLOBAL, 'PK', lists.PK),
    variable(GLOBAL, 'KEK', lists.KEK),
    variable(IMAGE_SECURITY, 'db', lists.db),
    variable(IMAGE_SECURITY, 'dbx', lists.dbx),
    Buffer.alloc(4),
    // The one entry that was used, without the list's head.
    variable(IMAGE_SECURITY, 'db', lists.db.subarray(28)),
  ]
  return events.reduce((pcr, event) => sha256(pcr, sha256(event)), Buffer.alloc(32))
}

/** UEFI_VARIABLE_DATA. */
const variable = (vendor: Buffer, name: string, data: Buffer) =>
  Buffer.concat([vendor, u64(name.length), u64(data.length), Buffer.from(name, 'utf16le'), data])

const sha256 = (...parts: Buffer[]) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
