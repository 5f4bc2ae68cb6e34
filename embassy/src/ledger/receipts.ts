// The receipts that a checkpoint makes: one for each leaf that it is the first to prove.
import { encodeReceiptOf, toBase64url } from '@sealed/protocol'
import type { CheckpointIntent, Kept, Proof } from '../store/step.ts'

/** A checkpoint that was given out, and the receipts under it, by session. */
export interface Given {
  checkpoint: Kept
  receipts: ReadonlyMap<string, string>
}

export function giveOut(
  { proofs, size }: CheckpointIntent,
  note: string,
  quote: Kept['quote'],
): Given {
  const checkpoint = { note, size, ...(quote && { quote }) }
  const receipts = new Map(proofs.map((proof) => [proof.session, receiptFor(proof, checkpoint)]))
  return { checkpoint, receipts }
}

/** Base64url. */
export const receiptFor = (
  { document, index, leaf, path }: Omit<Proof, 'session'>,
  { note, quote }: Pick<Kept, 'note' | 'quote'>,
): string =>
  encodeReceiptOf(leaf, {
    checkpoint: note,
    document,
    index,
    path,
    ...(quote && {
      quote: { attest: toBase64url(quote.attest), signature: toBase64url(quote.signature) },
    }),
    version: 1,
  })
