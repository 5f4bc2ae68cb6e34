// What the ledger is anchored to where there is no TPM: nothing. Counter and chain are what the database itself says, so
// that nothing is held against anything, and nothing is quoted. Receipts, checkpoints and statements say so.
import { SealedError } from '@sealed/protocol'
import type { Anchor } from '../tpm/index.ts'

/** Counter and chain of the database, where it has begun them. */
export type Recall = () => Promise<{ counter: bigint; chain: Uint8Array } | undefined>

export function absentTpm(recall: Recall): Anchor {
  let defined = false
  /** What a TPM would have had before its first step. */
  const begun = async () => {
    const recalled = await recall()
    if (recalled) return recalled
    if (defined) return { counter: 0n, chain: new Uint8Array(32) }
    throw new SealedError('tpm.failed', 'there is no TPM, and nothing was begun without one')
  }
  const define = async () => {
    defined = true
  }
  return {
    quote: async () => undefined,
    counter: {
      define,
      increment: async () => {},
      read: async () => (await begun()).counter,
    },
    defineExtendNv: define,
    extendNv: async () => {},
    readNv: async () => (await begun()).chain,
  }
}
