// The runtime directory of an instance, for sockets and keys: gone when it stops, and what a killed one left goes first.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { run } from '../world/run.ts'

/** A tmpfs of its own: gone with the machine, and bounded. */
export async function mountRuntime(path: string): Promise<void> {
  await unmountRuntime(path)
  await mkdir(path, { recursive: true, mode: 0o711 })
  await run('mount', [
    '-t',
    'tmpfs',
    '-o',
    'size=64m,mode=0711,nosuid,nodev',
    'sealed-runtime',
    path,
  ])
}

export async function unmountRuntime(path: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  const below = mounts
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point === path || point.startsWith(`${path}/`))
  for (const point of below.reverse()) await run('umount', ['-l', point])
  await rm(path, { recursive: true, force: true })
}

/** Where nothing can be mounted: a directory that is this user's alone. Nobody else can have made it beforehand. */
export async function makeRuntime(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { mode: 0o711 })
}

export const removeRuntime = (path: string): Promise<void> =>
  rm(path, { recursive: true, force: true })
