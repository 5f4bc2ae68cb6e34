// One bit on a file system: a file that is there or not. Set and cleared so that a power cut undoes neither.
import { access, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface Flag {
  isSet(): Promise<boolean>
  set(): Promise<void>
  clear(): Promise<void>
}

export class FileFlag implements Flag {
  readonly #path: string
  /** What is known of it, so that asking for what holds already costs nothing. */
  #isSet: boolean | undefined

  constructor(path: string) {
    this.#path = path
  }

  async isSet(): Promise<boolean> {
    this.#isSet ??= await access(this.#path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false
        throw error
      },
    )
    return this.#isSet
  }

  async set(): Promise<void> {
    if (this.#isSet) return
    await (await open(this.#path, 'a', 0o600)).close()
    await this.#sync()
    this.#isSet = true
  }

  async clear(): Promise<void> {
    if (this.#isSet === false) return
    await rm(this.#path, { force: true })
    await this.#sync()
    this.#isSet = false
  }

  async #sync(): Promise<void> {
    const directory = await open(dirname(this.#path))
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}
