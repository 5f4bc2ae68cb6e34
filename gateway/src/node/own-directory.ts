// Directories and files of the gateway under the runtime directory, and files that appear whole or not at all.
import { chmod, chown, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GATEWAY_USER, isRoot } from './privileges.ts'

/** Makes `<parent>/<name>` and, as root, gives it to the gateway's user. Returns its path. */
export async function ownDirectory(parent: string, name: string, mode: number): Promise<string> {
  const path = join(parent, name)
  await mkdir(path, { recursive: true, mode })
  if (isRoot()) await chown(path, GATEWAY_USER, GATEWAY_USER)
  await chmod(path, mode)
  return path
}

/** Writes a file under another name first, so that a reader sees all of it or none. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const partial = `${path}.${process.pid}.part`
  await writeFile(partial, text, { mode, flag: 'wx' })
  await rename(partial, path)
}
