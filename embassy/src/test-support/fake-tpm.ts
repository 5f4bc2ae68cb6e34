// A TPM that keeps what the ledger needs of one, and can be told to fail at its k-th call. For tests of what stands
// above the interface; the real one is tested against a software TPM.
import { type Bytes, SealedError, sha256 } from '@sealed/protocol'
import type { Tpm } from '../tpm/index.ts'

const RESET_COUNT = 5

/** A quote whose only true members are those that the ledger looks at. */
function attest(extraData: Uint8Array, resetCount: number): Uint8Array {
  const out = Buffer.alloc(6 + 2 + 2 + 32 + 17 + 8 + 4 + 6 + 34)
  let at = out.writeUInt32BE(0xff544347, 0)
  at = out.writeUInt16BE(0x8018, at)
  at = out.writeUInt16BE(0, at)
  at = out.writeUInt16BE(32, at)
  out.set(extraData, at)
  at += 32 + 8
  at = out.writeUInt32BE(resetCount, at)
  at = out.writeUInt32BE(0, at)
  at = out.writeUInt8(1, at) + 8
  at = out.writeUInt32BE(1, at)
  at = out.writeUInt16BE(0x000b, at)
  at = out.writeUInt8(3, at) + 3
  out.writeUInt16BE(32, at)
  return out
}

export class FakeTpm implements Tpm {
  readonly ak = {
    algorithm: 'ecdsa-p256',
    public: new Uint8Array(88),
    name: new Uint8Array(34),
    certificate: new Uint8Array(0),
  } as const
  quotes = 0
  resetCount = RESET_COUNT
  /** Counts down; the call at which it is zero fails. */
  failAt = Number.POSITIVE_INFINITY
  value: bigint | undefined
  readonly pcrs = new Map<number, Bytes>()
  chain: Uint8Array = new Uint8Array(32)
  /** What a call waits for, where a test wants to hold one. */
  gate: Promise<void> = Promise.resolve()

  async #call<T>(act: () => T): Promise<T> {
    await this.gate
    if (this.failAt-- === 0) throw new SealedError('tpm.failed', 'told to fail')
    return act()
  }

  #pcr = (index: number): Bytes => this.pcrs.get(index) ?? new Uint8Array(32)

  quote(extraData: Uint8Array) {
    return this.#call(() => {
      this.quotes += 1
      return { attest: attest(extraData, this.resetCount), signature: new Uint8Array(8) }
    })
  }

  readonly counter = {
    define: () =>
      this.#call(() => {
        this.value ??= 1n
      }),
    increment: () =>
      this.#call(() => {
        this.value! += 1n
      }),
    read: () =>
      this.#call(() => {
        if (this.value === undefined) throw new SealedError('tpm.failed', 'not defined')
        return this.value
      }),
  }

  clock = () =>
    this.#call(() => ({ clockMs: 0n, resetCount: this.resetCount, restartCount: 0, safe: true }))
  readPcrs = (pcrs: readonly number[]) =>
    this.#call(() => new Map(pcrs.map((index) => [index, this.#pcr(index)])))
  extend = async (index: number, digest: Uint8Array) => {
    const value = await sha256(this.#pcr(index), digest)
    await this.#call(() => this.pcrs.set(index, value))
  }
  extendNv = async (_index: number, data: Uint8Array) => {
    const value = await sha256(this.chain, data)
    await this.#call(() => {
      this.chain = value
    })
  }
  readNv = () => this.#call(() => this.chain)
  defineExtendNv = () => this.#call(() => {})
  close = () => Promise.resolve()
}
