// Key material of one boot: files in a root-only directory on tmpfs, written whole or not at all.
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyFiles } from './transport-keys.ts'

export class KeyDirectory implements KeyFiles {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async create(): Promise<void> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 })
  }

  async read(name: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.#path, name), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async write(name: string, content: string): Promise<void> {
    const part = join(this.#path, `${name}.part`)
    const file = await open(part, 'w', 0o600)
    await file.writeFile(content)
    await file.close()
    await rename(part, join(this.#path, name))
  }

  /** Forgets the keys of an earlier boot. */
  async clear(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true })
    await this.create()
  }
}
