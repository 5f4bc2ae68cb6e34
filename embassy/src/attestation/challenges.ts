// Fresh quotes for strangers: all nonces that arrive while one quote is under way share the next, each with its path to
// the quoted root, so that anonymous requests cost the TPM one quote at a time, whatever their number.
import {
  type AttestationAnswer,
  leafHash,
  merklePaths,
  QUOTED_PCRS,
  quoteBinding,
  SealedError,
  toBase64url,
  toHex,
} from '@sealed/protocol'
import type { Tpm } from '../tpm/index.ts'

const MAX_WAITING = 4096
export type Challenge = NonNullable<AttestationAnswer['challenge']>

export class Challenges {
  readonly #tpm: Tpm
  readonly #keySetDigest: Uint8Array
  #waiting: {
    nonce: Uint8Array
    resolve(challenge: Challenge): void
    reject(error: Error): void
  }[] = []
  #working = false

  constructor(tpm: Tpm, keySetDigest: Uint8Array) {
    this.#tpm = tpm
    this.#keySetDigest = keySetDigest
  }

  answer(nonce: Uint8Array): Promise<Challenge> {
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(
        new SealedError(
          'attestation.busy',
          'too many challenges are waiting: try again in a second',
        ),
      )
    return new Promise((resolve, reject) => {
      this.#waiting.push({ nonce, resolve, reject })
      if (!this.#working) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#working = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0)
      try {
        const hashes = await Promise.all(batch.map(({ nonce }) => leafHash(nonce)))
        const { paths, root } = await merklePaths(hashes)
        const extraData = await quoteBinding('challenge', this.#keySetDigest, root)
        const { attest, signature } = await this.#tpm.quote(extraData, QUOTED_PCRS)
        const quote = { attest: toBase64url(attest), signature: toBase64url(signature) }
        for (const [index, { resolve }] of batch.entries()) {
          const path = paths[index]!.map(toHex)
          resolve({ index, path, quote, size: batch.length })
        }
      } catch (error) {
        for (const { reject } of batch) reject(error as Error)
      }
    }
    this.#working = false
  }
}
