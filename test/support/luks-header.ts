// Changes a LUKS2 header as anybody can who writes the disk: the JSON of both copies, and their checksums, which no key
// is part of (LUKS2 On-Disk Format Specification, section 2.1).
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'

const COPY_BYTES = 1 << 20
const BINARY_BYTES = 4096
const CHECKSUM_AT = 0x1c0

type Text = Record<string, unknown>
type Numbered<T> = Record<number, T> & { 0: T }
/** What tests change of it; the rest is there too. */
export interface Metadata {
  keyslots: Numbered<{ area: Text }>
  segments: Numbered<Text>
  digests: Numbered<{ keyslots: string[] }>
  tokens: Numbered<Text>
  config: Text
}

export async function forgeHeader(disk: string, edit: (metadata: Metadata) => void): Promise<void> {
  const bytes = await readFile(disk)
  for (const at of [0, COPY_BYTES]) {
    const copy = bytes.subarray(at, at + COPY_BYTES)
    const json = copy.subarray(BINARY_BYTES)
    const metadata = JSON.parse(json.subarray(0, json.indexOf(0)).toString()) as Metadata
    edit(metadata)
    json.fill(0)
    json.write(JSON.stringify(metadata))
    copy.fill(0, CHECKSUM_AT, CHECKSUM_AT + 64)
    createHash('sha256').update(copy).digest().copy(copy, CHECKSUM_AT)
  }
  await writeFile(disk, bytes)
}
