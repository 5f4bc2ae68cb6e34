// keys.json as the CLI edits it: whole or not at all, one edit at a time, for the gateway to read and for nobody else to
// write.
import { chmod, chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type ApiKeys, parseApiKeys, parseDeployment, SealedError, utf8 } from '@sealed/protocol'
import type { Io } from './io.ts'
import { sync } from './new-file.ts'
import { UsageError } from './usage.ts'

const DEFAULT_CONFIG = '/etc/sealed/sealed.json'
/** The gateway's user reads it, and it holds digests of random keys. */
const MODE = 0o644

/** Path of the keys of a deployment: `--config`, SEALED_CONFIG, then /etc/sealed/sealed.json. */
export async function keysPath(config: string | undefined, io: Io): Promise<string> {
  const path = config ?? io.env.SEALED_CONFIG ?? DEFAULT_CONFIG
  const bytes = await readFile(path).catch((error: Error) => {
    throw new UsageError(`cannot read ${path}: ${error.message}; name it with --config`, 'config')
  })
  const { api_keys } = parseDeployment(bytes)
  if (api_keys !== undefined) return api_keys
  throw new UsageError(
    `${path} asks for no API keys: set "api_keys" in it to the path of their file, such as /etc/sealed/keys.json, and restart`,
    'config',
  )
}

/** The keys in the file; none where there is no file yet. */
export async function readKeys(path: string): Promise<ApiKeys> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { keys: [], version: 1 }
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`, 'config')
  }
  return parseApiKeys(bytes)
}

/** Replaces the file by what `edit` makes of it. Throws what `edit` throws, and then nothing has changed. */
export async function editKeys(
  given: string,
  edit: (keys: ApiKeys['keys']) => ApiKeys['keys'],
): Promise<void> {
  const path = await realpath(given).catch(() => given)
  const part = `${path}.part`
  const file = await open(part, 'wx', MODE).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new SealedError(
        'config.invalid',
        `another edit of ${path} is under way; if none is, one was cut off: remove ${part}`,
      )
    throw new UsageError(`cannot write beside ${path}: ${error.message}`, 'config')
  })
  try {
    const { keys, version } = await readKeys(path)
    const text = utf8(`${JSON.stringify({ keys: edit(keys), version }, null, 2)}\n`)
    // Nothing is put there that the gateway would refuse.
    parseApiKeys(text)
    await file.writeFile(text)
    await file.sync()
    const before = await stat(path).catch(() => undefined)
    await chmod(part, before ? before.mode & 0o777 : MODE)
    if (before) await chown(part, before.uid, before.gid)
    await rename(part, path)
    await sync(dirname(path))
  } catch (error) {
    await rm(part, { force: true })
    throw error
  } finally {
    await file.close()
  }
}
