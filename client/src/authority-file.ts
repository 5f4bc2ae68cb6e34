// The authority's key file: written once for its owner alone, refused when others can read it.
import { open, writeFile } from 'node:fs/promises'
import { SealedError } from '@sealed/protocol'
import { parseAuthority } from './authority.ts'

const OTHERS = 0o077

const fault = (message: string, cause?: unknown) =>
  new SealedError('config.invalid', message, { param: 'authority', cause })

/** Writes a new key file (mode 0600); never replaces one that is there. */
export async function writeAuthorityFile(path: string, jwk: string): Promise<void> {
  try {
    await writeFile(path, jwk, { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST')
      throw fault(`${path} exists; a key is never overwritten, so choose another file`, cause)
    throw fault(`cannot write ${path}: ${(cause as Error).message}`, cause)
  }
}

/** Reads a key file; throws `config.invalid` when it is missing, readable by others or no authority key. */
export async function readAuthorityFile(path: string) {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT')
      throw fault(
        `there is no authority key at ${path}; make one with: sealed authority new NAME --out ${path}`,
        cause,
      )
    throw fault(`cannot read ${path}: ${cause.message}`, cause)
  })
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw fault(`${path} is no file`)
    if (stat.mode & OTHERS)
      throw fault(
        `${path} can be read by others (mode ${(stat.mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
      )
    return await parseAuthority(await file.readFile('utf8'))
  } finally {
    await file.close()
  }
}
