// The receipt: a session's statements, their place in the log, the checkpoint over it and the quote over that.
// On the wire it is base64url of its canonical JSON.
import * as v from 'valibot'
import { quoteSchema } from './attestation.ts'
import { type Bytes, fromBase64url, toBase64url, utf8 } from './bytes.ts'
import { canonicalBytes, canonicalize, parseCanonical } from './json.ts'
import { base64url, check, digest, integer, text } from './schema.ts'
import { sessionLeafSchema } from './statement.ts'

/** Bound of a receipt in base64url. */
export const MAX_RECEIPT_CHARS = 65_536

const receiptMembers = v.strictObject({
  checkpoint: text(2048),
  /** SHA-256 of the attestation document. */
  document: digest,
  index: integer(),
  leaf: sessionLeafSchema,
  path: v.pipe(v.array(v.pipe(base64url(32), v.length(43))), v.maxLength(48)),
  quote: v.exactOptional(quoteSchema),
  version: v.literal(1),
})
/** The leaf, which the log holds, says whether there is a quote: taken off, it is missed. */
export const receiptSchema = v.pipe(
  receiptMembers,
  v.check(
    ({ leaf, quote }) =>
      (quote === undefined) === leaf.statements.some(({ type }) => type === 'tpm.absent'),
    'a quote stands unless the session says tpm.absent, and only then',
  ),
)
export type Receipt = v.InferOutput<typeof receiptSchema>
/** One of a machine with a TPM. */
export type QuotedReceipt = Receipt & Required<Pick<Receipt, 'quote'>>

export const encodeReceipt = (receipt: Receipt): string => toBase64url(canonicalBytes(receipt))

/** The same receipt, from a leaf that is canonical text already: the embassy has it as the log holds it. */
export function encodeReceiptOf(leaf: string, receipt: Omit<Receipt, 'leaf'>): string {
  const { checkpoint, document, index, path, quote, version } = receipt
  const before = canonicalize({ checkpoint, document, index }).slice(0, -1)
  const after = canonicalize({ path, ...(quote && { quote }), version }).slice(1)
  return toBase64url(utf8(`${before},"leaf":${leaf},${after}`))
}

/** Decodes a receipt; throws `encoding.invalid`, `json.*` or `receipt.invalid`. */
export function decodeReceipt(encoded: string): Receipt {
  if (encoded.length > MAX_RECEIPT_CHARS)
    return check(receiptSchema, null, 'receipt', 'receipt.invalid')
  return check(receiptSchema, parseCanonical(fromBase64url(encoded)), 'receipt', 'receipt.invalid')
}

export const leafBytes = (leaf: Receipt['leaf']): Bytes => canonicalBytes(leaf)
