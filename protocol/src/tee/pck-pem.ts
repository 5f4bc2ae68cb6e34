// The PEM chain inside a TDX quote: in one spelling only, since nothing signs it. A NUL may end it, as quoting enclaves
// write one.
import { type Bytes, fromBase64, fromUtf8 } from '../bytes.ts'
import { SealedError } from '../errors.ts'

const BEGIN = '-----BEGIN CERTIFICATE-----\n'
const END = '\n-----END CERTIFICATE-----\n'
const MAX_BYTES = 16_384
const LINES = /^(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64}$/

/** DER certificates in the order they stand in. Throws `evidence.invalid` or `encoding.invalid`. */
export function parsePckPem(bytes: Uint8Array): Bytes[] {
  if (bytes.length > MAX_BYTES) throw bad('too long')
  const text = fromUtf8(bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes)
  const blocks = text.split(END)
  if (blocks.pop() !== '' || blocks.length === 0) throw bad('not whole certificates')
  return blocks.map((block) => {
    const lines = block.slice(BEGIN.length)
    if (!block.startsWith(BEGIN) || !LINES.test(lines)) throw bad('not in its one spelling')
    return fromBase64(lines.replaceAll('\n', ''))
  })
}

const bad = (message: string) => new SealedError('evidence.invalid', `PCK chain: ${message}`)
