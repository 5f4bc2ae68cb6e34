// tpm2_checkquote as the judge of a quote: what TCG's own tool says, from files laid out by its rules.
import { execFile } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/**
 * PCR values as `tpm2_quote -o` leaves them: TPML_PCR_SELECTION, then TPML_DIGESTs of eight, all in host
 * layout. The tool's plainer form (`-l`) fails in 5.4 for eight PCRs and more.
 */
export function pcrFile(pcrs: readonly number[], values: Buffer): Buffer {
  const selection = Buffer.alloc(4 + 16 * 8)
  selection.writeUInt32LE(1, 0)
  selection.writeUInt16LE(0x000b, 4)
  selection.writeUInt8(3, 6)
  selection.writeUIntLE(
    pcrs.reduce((bits, pcr) => bits | (1 << pcr), 0),
    7,
    3,
  )
  const lists: Buffer[] = []
  for (let first = 0; first < pcrs.length; first += 8) {
    const count = Math.min(8, pcrs.length - first)
    const list = Buffer.alloc(4 + 8 * 66)
    list.writeUInt32LE(count, 0)
    for (let i = 0; i < count; i++) {
      list.writeUInt16LE(32, 4 + 66 * i)
      list.set(values.subarray(32 * (first + i), 32 * (first + i + 1)), 6 + 66 * i)
    }
    lists.push(list)
  }
  const number = Buffer.alloc(4)
  number.writeUInt32LE(lists.length)
  return Buffer.concat([selection, number, ...lists])
}

export interface QuoteFiles {
  attest: Uint8Array
  signature: Uint8Array
  /** The attestation key's certificate, DER. */
  certificate: Uint8Array
  /** PCR values by index. */
  pcrs: ReadonlyMap<number, Uint8Array>
  extraData: Uint8Array
}

/** Writes a quote as the tool's files and returns the arguments that make it check them. */
export async function layOutQuote(directory: string, quote: QuoteFiles): Promise<string[]> {
  const file = (name: string) => join(directory, name)
  const indices = [...quote.pcrs.keys()].sort((a, b) => a - b)
  const values = Buffer.concat(indices.map((index) => quote.pcrs.get(index)!))
  const key = new X509Certificate(quote.certificate).publicKey
  await writeFile(file('key.pem'), key.export({ format: 'pem', type: 'spki' }))
  await writeFile(file('attest'), quote.attest)
  await writeFile(file('signature'), quote.signature)
  await writeFile(file('pcrs'), pcrFile(indices, values))
  const args = ['-u', file('key.pem'), '-m', file('attest'), '-s', file('signature')]
  const qualification = Buffer.from(quote.extraData).toString('hex')
  return [...args, '-f', file('pcrs'), '-g', 'sha256', '-q', qualification]
}

/** Whether tpm2_checkquote accepts it; what the tool says otherwise. */
export async function checkQuote(quote: QuoteFiles): Promise<'accepted' | string> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-quote-'))
  try {
    const args = await layOutQuote(directory, quote)
    await promisify(execFile)('tpm2', ['checkquote', ...args], {
      env: { ...process.env, TPM2TOOLS_TCTI: 'none' },
    })
    return 'accepted'
  } catch (error) {
    return (error as { stderr?: string }).stderr || String(error)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** extraData as SPEC.md says it, from the words of the specification alone. */
export function extraDataOf(kind: string, keySetDigest: Uint8Array, content: Uint8Array): Buffer {
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  return sha256(
    Buffer.concat([Buffer.from(`sealed/quote/${kind}/v1\0`), keySetDigest, sha256(content)]),
  )
}
