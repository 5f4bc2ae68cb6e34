// What a workload that takes part itself has asked of the embassy in one session: the input's key, once, and to be let go
// against the digest of its output. What it says is held against what the relay read from it.
import { randomBytes, SealedError } from '@sealed/protocol'
import type { Door } from './session.ts'

export class Cooperation {
  /** The whole key, 32 bytes: the client's, or on the plain door one of our own, under which the relay encrypts. */
  readonly inputKey: Uint8Array
  #isRevealed = false
  #outputSha256: string | undefined

  constructor(door: Door) {
    this.inputKey = door.kind === 'envelope' ? door.inputKey : randomBytes(32)
  }

  /** The input key, for the workload. Throws `request.invalid` when it was asked for before. */
  reveal(): Uint8Array {
    if (this.#isRevealed)
      throw new SealedError('request.invalid', 'the key of this session was revealed before')
    this.#isRevealed = true
    return this.inputKey
  }

  /** Takes the commitment to the output, SHA-256 of the bytes of its body. Throws `request.invalid` where there is one. */
  unseal(outputSha256: string): void {
    if (this.#outputSha256 !== undefined)
      throw new SealedError('request.invalid', 'this session’s output was committed to before')
    this.#outputSha256 = outputSha256
  }

  /** Whether the output that came is the one that was committed to. */
  agrees(outputSha256: string): boolean {
    return this.#outputSha256 === outputSha256
  }
}
