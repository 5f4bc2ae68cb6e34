// Requests that their caller gave up after they had been sent. An SDK whose time is up sends the same again by itself,
// though the first may have been computed and metered: such a repetition is known by its bytes and not sent.
import { concat, SealedError, sha256Hex, utf8 } from '@sealed/protocol'
import type { SealedCall } from './read-request.ts'

const REMEMBERED = 1024

export class GivenUp {
  readonly #digests = new Set<string>()

  /** Throws `session.aborted` for an SDK's repetition of what was given up; anything else is a request of its own. */
  async refuse(call: SealedCall): Promise<void> {
    if (this.#digests.size === 0) return
    const digest = await digestOf(call)
    if (call.retries === 0) this.#digests.delete(digest)
    else if (this.#digests.has(digest))
      throw new SealedError(
        'session.aborted',
        'an earlier attempt was given up after it had been sent, and may have been computed and metered; it is not sent again by itself',
      )
  }

  async remember(call: SealedCall): Promise<void> {
    const digest = await digestOf(call)
    this.#digests.delete(digest)
    this.#digests.add(digest)
    for (const oldest of this.#digests) {
      if (this.#digests.size <= REMEMBERED) break
      this.#digests.delete(oldest)
    }
  }
}

const digestOf = (call: SealedCall) => sha256Hex(concat(utf8(`${call.endpoint}\n`), call.body))
