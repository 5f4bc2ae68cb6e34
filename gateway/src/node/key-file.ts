// The file of API keys, read again whenever it changes: a key that was revoked is refused within a second, and nothing
// is restarted. A file that stays unreadable admits nobody, since nobody knows what it would have said.
import { constants } from 'node:fs'
import { type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type ApiKeyEntry, parseApiKeys, SealedError } from '@sealed/protocol'
import type { ApiKey } from '../deps.ts'
import { isRoot } from './privileges.ts'

/** How often the file is looked at. */
const LOOK_MS = 1_000
/** Looks that may fail in a row: an editor that writes in place leaves half a file for a moment. */
const PATIENCE = 1

export class KeyFile {
  readonly #name: string
  /** Held open so that the file is found again after root was given up, whatever lies above it. */
  readonly #directory: FileHandle | undefined
  readonly #path: string
  readonly #onFault: (reason: string) => void
  #keys: readonly ApiKey[] | undefined
  #stamp = ''
  #failures = 0
  #looking: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  private constructor(
    name: string,
    directory: FileHandle | undefined,
    path: string,
    onFault: (reason: string) => void,
  ) {
    this.#name = name
    this.#directory = directory
    this.#path = path
    this.#onFault = onFault
  }

  /** Reads the file; throws `config.invalid` when it cannot be read. Called before root is given up. */
  static async open(name: string, onFault: (reason: string) => void = () => {}): Promise<KeyFile> {
    let real: string
    try {
      real = await realpath(name)
    } catch (cause) {
      throw unreadable(name, cause)
    }
    const directory = isRoot()
      ? await open(dirname(real), constants.O_RDONLY | constants.O_DIRECTORY)
      : undefined
    const path = directory ? join(`/proc/self/fd/${directory.fd}`, basename(real)) : real
    const file = new KeyFile(name, directory, path, onFault)
    try {
      await file.#read()
    } catch (error) {
      await file.stop()
      throw error
    }
    return file
  }

  /** The keys that are admitted, the same array until they change. Throws `config.invalid` while nobody knows them. */
  current(): readonly ApiKey[] {
    if (this.#keys) return this.#keys
    throw new SealedError(
      'config.invalid',
      'this gateway cannot read its API keys and admits nobody; its log says why',
    )
  }

  /** Begins to look for changes; throws `config.invalid` when the user that this process has become cannot. */
  async start(): Promise<void> {
    this.#stamp = ''
    await this.#read()
    this.#timer = setInterval(() => void this.look(), LOOK_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
    await this.#directory?.close()
  }

  /** Looks now; never throws. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    try {
      await this.#read()
      this.#failures = 0
    } catch (error) {
      this.#failures += 1
      if (this.#failures !== PATIENCE + 1) return
      this.#keys = undefined
      this.#stamp = ''
      this.#onFault((error as Error).message)
    }
  }

  /** What was written meanwhile has another stamp and is read at the next look. */
  async #read(): Promise<void> {
    try {
      const { ino, size, mtimeNs, ctimeNs } = await stat(this.#path, { bigint: true })
      const stamp = `${ino} ${size} ${mtimeNs} ${ctimeNs}`
      if (stamp === this.#stamp) return
      const { keys } = parseApiKeys(await readFile(this.#path))
      this.#keys = keys.filter(({ revoked_ms }) => revoked_ms === undefined).map(keyOf)
      this.#stamp = stamp
    } catch (cause) {
      throw unreadable(this.#name, cause)
    }
  }
}

const keyOf = ({
  concurrent_requests,
  digest,
  name,
  requests_per_minute,
}: ApiKeyEntry): ApiKey => ({
  digest,
  name,
  ...(concurrent_requests !== undefined && { concurrentRequests: concurrent_requests }),
  ...(requests_per_minute !== undefined && { requestsPerMinute: requests_per_minute }),
})

function unreadable(name: string, cause: unknown): SealedError {
  if (cause instanceof SealedError)
    return new SealedError('config.invalid', `${name}: ${cause.message}`, { cause })
  const { code, message } = cause as NodeJS.ErrnoException
  const hint =
    code === 'ENOENT'
      ? '`sealed key create NAME` makes it'
      : code === 'EACCES'
        ? 'the gateway’s user must be able to: file 0644, its directory 0711'
        : message
  return new SealedError('config.invalid', `cannot read the API keys in ${name}: ${hint}`, {
    param: 'api_keys',
    cause,
  })
}
