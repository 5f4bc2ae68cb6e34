// Where a replica puts its activations: a small tmpfs of its own, writable by the workload's user alone.
import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { clear, MAX_FILE_BYTES, MAX_SHARED_ENTRIES } from '../activations/sweep.ts'

const run = promisify(execFile)
export const WORKLOAD_UID = 64102

/** Mounts, or empties what is mounted, and returns the directory. */
export async function mountActivations(root: string, name: string): Promise<string> {
  const directory = join(root, name)
  await mkdir(directory, { recursive: true })
  if (await isMounted(directory)) clear(directory)
  else {
    const options = `size=${MAX_FILE_BYTES + 1024 * 1024},nr_inodes=${MAX_SHARED_ENTRIES},mode=0700,uid=${WORKLOAD_UID},gid=${WORKLOAD_UID},nosuid,nodev,noexec`
    await run('mount', ['-t', 'tmpfs', '-o', options, 'sealed-activations', directory])
  }
  return directory
}

/** The same where nothing can be mounted: a directory of this user's own. */
export async function plainActivations(root: string, name: string): Promise<string> {
  const directory = join(root, name)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  clear(directory)
  return directory
}

/** Unmounts every directory below `root`. */
export async function unmountBelow(root: string): Promise<void> {
  for (const path of await mountPoints())
    if (path.startsWith(`${root}/`)) await run('umount', ['-l', path])
}

const isMounted = async (path: string): Promise<boolean> => (await mountPoints()).includes(path)
const mountPoints = async (): Promise<string[]> =>
  (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
