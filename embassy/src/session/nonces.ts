// Which nonces were used here, or are being used. The disk has the last word when a session begins; before anything of
// an envelope is decrypted, a bit for each beginning of a nonce says for nearly all at once that they are new, and the disk
// is asked about the others.
import { ISSUED_WINDOW_MS } from '@sealed/protocol'
import type { Store } from '../store/store.ts'

/** As many as a nonce begins with, in base64url: 24 bits of it. */
export const BEGINNING = 4
const BYTES = 2 ** (6 * BEGINNING - 3)
/** No envelope is acceptable for longer than twice the window, from before its time to after it. */
const TURN_MS = 3 * ISSUED_WINDOW_MS

export class Nonces {
  readonly #store: Pick<Store, 'runLazy'>
  readonly #clock: () => number
  /** Of sessions that are open: on disk only from the reveal on. */
  readonly #taken = new Set<string>()
  #recent = new Uint8Array(BYTES)
  /** From the turn before; what is older is of no envelope that could be sent again. */
  #before = new Uint8Array(BYTES)
  #turned: number
  #loading: Promise<void> | undefined

  /** `clock` in milliseconds, from any beginning. */
  constructor(store: Pick<Store, 'runLazy'>, clock: () => number = () => performance.now()) {
    this.#store = store
    this.#clock = clock
    this.#turned = clock()
  }

  /** Whether a session was begun with it, in this life or an earlier one. */
  async has(nonce: string): Promise<boolean> {
    this.#loading ??= this.#load()
    await this.#loading
    this.#turn()
    const [at, bit] = placeOf(nonce)
    const isNew = ((this.#recent[at]! | this.#before[at]!) & bit) === 0
    return isNew ? false : this.#store.runLazy('nonceSeen', nonce)
  }

  /** Takes it for a session that may begin; false where another has it. */
  take(nonce: string): boolean {
    if (this.#taken.has(nonce)) return false
    this.#taken.add(nonce)
    this.#note(nonce)
    return true
  }

  /** Gives it back: from here on it is used if it is on disk. */
  release(nonce: string): void {
    this.#taken.delete(nonce)
  }

  #note(beginning: string): void {
    this.#turn()
    const [at, bit] = placeOf(beginning)
    this.#recent[at]! |= bit
  }

  async #load(): Promise<void> {
    try {
      for (const beginning of await this.#store.runLazy('nonceBeginnings', BEGINNING))
        this.#note(beginning)
    } catch (error) {
      this.#loading = undefined
      throw error
    }
  }

  #turn(): void {
    if (this.#clock() - this.#turned < TURN_MS) return
    this.#turned = this.#clock()
    this.#before = this.#recent
    this.#recent = new Uint8Array(BYTES)
  }
}

/** Where in the bits, and which of eight. */
function placeOf(nonce: string): [number, number] {
  const number = Buffer.from(nonce.slice(0, BEGINNING), 'base64url').readUIntBE(0, 3)
  return [number >>> 3, 1 << (number & 7)]
}
