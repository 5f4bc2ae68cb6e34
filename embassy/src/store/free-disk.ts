// Whether the state directory's file system has room for what sessions write. Looked at every few seconds and after a
// write that found none; asked before anything is sealed. Below the limit nothing is begun, so that what is under way
// can end in a receipt. One that cannot be looked at has no room.
import { statfs } from 'node:fs/promises'
import { SessionFailure } from '@sealed/protocol'
import type { Log } from '../log.ts'

export interface FreeDiskDeps {
  directory: string
  /** Sessions are refused while less is free. */
  limitBytes: number
  log: Log
  /** Bytes that are free; the real file system's where it is left out. */
  free?: (directory: string) => Promise<number>
}

const LOOK_MS = 2_000
/** When a client that was refused may ask again: files are not deleted by the second. */
const RETRY_AFTER_MS = 10_000

export class FreeDisk {
  readonly #deps: Required<FreeDiskDeps>
  #isLow = false
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(deps: FreeDiskDeps) {
    this.#deps = { free: freeBytes, ...deps }
  }

  get isLow(): boolean {
    return this.#isLow
  }

  /** Looks now and from now on. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.look(), LOOK_MS)
    await this.look()
  }

  /** Looks; whoever asks meanwhile waits for the same look. Never throws. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** Throws `disk.full` while a session would not find room. */
  ensureRoom(): void {
    if (this.#isLow) throw full(this.#deps.limitBytes)
  }

  /** Throws `disk.full` unless so many bytes can be written without coming below the limit. */
  async ensureRoomFor(bytes: number): Promise<void> {
    const { directory, free, limitBytes } = this.#deps
    if ((await free(directory)) < limitBytes + bytes) throw full(limitBytes + bytes)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #look(): Promise<void> {
    const { directory, free, limitBytes, log } = this.#deps
    const left = await free(directory).catch((error: Error) => {
      log('free disk is not known', { error: error.message })
      return Number.NaN
    })
    const isLow = !(left >= limitBytes)
    if (isLow !== this.#isLow)
      log(isLow ? 'the disk is full: no session is begun' : 'the disk has room again', {
        free_bytes: left,
        limit_bytes: limitBytes,
      })
    this.#isLow = isLow
  }
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

const full = (needed: number) =>
  new SessionFailure(
    'disk.full',
    `less than ${needed} bytes are free in the state directory, so nothing is begun: the operator must free space`,
    { retryAfterMs: RETRY_AFTER_MS },
  )
