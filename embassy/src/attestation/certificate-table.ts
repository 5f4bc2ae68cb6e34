// The certificates that a host hands out beside an SEV-SNP report (AMD publication 56421, "certificate table"): entries
// of GUID, offset and length, one of zeros, and the certificates behind. Hosts put other things in too; these are
// looked over and left. What comes out is believed by nobody before its chain is verified.
import { type Bytes, SealedError } from '@sealed/protocol'

const ENTRY_BYTES = 24
/** Sixteen pages: what the kernel asks for at most. */
const MAX_BYTES = 65_536
const MAX_ENTRIES = 32
const GUIDS = {
  vcek: '63da758de6644564adc5f4b93be8accd',
  ask: '4ab7b379bbac4fe4a02f05aef327c782',
  ark: 'c0b406a4a803495297433fb6014cd0ae',
}

/** VCEK, ASK and ARK in DER, in this order. Throws `tee.failed` where one is missing or the table is malformed. */
export function parseCertificateTable(table: Uint8Array): Bytes[] {
  if (table.length > MAX_BYTES) throw bad(`is ${table.length} bytes long`)
  const entries = readEntries(table)
  const headerBytes = (entries.length + 1) * ENTRY_BYTES
  const found = new Map<string, Bytes>()
  for (const { guid, offset, length } of entries) {
    if (offset < headerBytes || length === 0 || offset + length > table.length)
      throw bad('has an entry outside itself')
    if (found.has(guid)) throw bad('has an entry twice')
    found.set(guid, table.slice(offset, offset + length) as Bytes)
  }
  return Object.entries(GUIDS).map(([name, guid]) => {
    const certificate = found.get(guid)
    if (!certificate) throw bad(`has no ${name.toUpperCase()}`)
    return certificate
  })
}

function readEntries(table: Uint8Array) {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  const entries: { guid: string; offset: number; length: number }[] = []
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    const entry = table.subarray(at, at + ENTRY_BYTES)
    if (entry.every((byte) => byte === 0)) return entries
    if (entries.length === MAX_ENTRIES) throw bad(`has more than ${MAX_ENTRIES} entries`)
    entries.push({
      guid: Buffer.from(entry.subarray(0, 16)).toString('hex'),
      offset: view.getUint32(at + 16, true),
      length: view.getUint32(at + 20, true),
    })
  }
  throw bad('has no end')
}

const bad = (what: string) => new SealedError('tee.failed', `the host’s certificate table ${what}`)
