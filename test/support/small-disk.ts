// A small file system of its own for an instance's state, and something to fill it with.
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../scripts/world/run.ts'

const CHUNK = 64 * 1024

export class SmallDisk {
  readonly path: string
  readonly #filler: string

  private constructor(path: string) {
    this.path = path
    this.#filler = join(path, 'filler')
  }

  /** Mounts a tmpfs at `path`; `unmount` it. */
  static async mount(path: string, bytes: number): Promise<SmallDisk> {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'sealed-state', path])
    return new SmallDisk(path)
  }

  /** Takes all room but `left` bytes; with 0, to the last page. */
  async fill(left: number): Promise<void> {
    const file = await open(this.#filler, 'a')
    const chunk = new Uint8Array(CHUNK)
    try {
      for (;;) {
        const { bavail, bsize } = await statfs(this.path)
        const room = bavail * bsize - left
        if (room <= 0) return
        await file.write(chunk, 0, Math.min(CHUNK, room))
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      await file.close()
    }
  }

  /** Gives back what `fill` took. */
  empty(): Promise<void> {
    return rm(this.#filler, { force: true })
  }

  unmount(): Promise<unknown> {
    return run('umount', ['-l', this.path])
  }
}
