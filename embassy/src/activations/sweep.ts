// Collects the activations of one session from its replica's directory: at commit, always, whatever a watcher said.
// The directory is the workload's: nothing in it is followed, trusted or kept open, and what is read is copied first.
// It lies on a small tmpfs, so its calls are made at once: a hop to a thread for each costs more than the call.
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  read,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  watch,
} from 'node:fs'
import { promisify } from 'node:util'
import { SealedError } from '@sealed/protocol'
import { isComplete } from './safetensors.ts'

/** Where a session's file is looked for. */
export interface Source {
  directory: string
  /** Whose name it bears, where several sessions share the directory; it is the only one there otherwise. */
  session?: string
}

/** The most bytes that one session may hand over. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024
const MAX_ENTRIES = 64
/** In a directory that up to 256 sessions share: a file of each, its lock, and what was abandoned. */
export const MAX_SHARED_ENTRIES = 1024
const CLEAR_TRIES = 5
/** What is larger than this is copied on another thread. */
const LARGE_BYTES = 1024 * 1024
const readAside = promisify(read)

/**
 * Removes what earlier sessions left, so that each session's file is its own: afterwards the directory was seen empty.
 * Throws `activations.invalid` where it is filled again and again.
 */
export function clear(directory: string): void {
  for (let tries = CLEAR_TRIES; tries > 0; tries--) {
    const names = readdirSync(directory)
    if (names.length === 0) return
    for (const name of names) remove(`${directory}/${name}`)
  }
  throw invalid('the workload writes while it has no request')
}

/** Removes what bears the name of any of these sessions, in time that does not grow with their number. */
export function discard(sessions: ReadonlySet<string>, directory: string): void {
  for (const name of readdirSync(directory))
    if (idsIn(name).some((id) => sessions.has(id))) remove(`${directory}/${name}`)
}

/** What may be a session's id: 32 hex digits, with others before or after it. */
const idsIn = (name: string): string[] =>
  (name.match(/[0-9a-f]{32,}/g) ?? []).flatMap((digits) => [digits.slice(0, 32), digits.slice(-32)])

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // A directory, or gone.
    rmSync(path, { recursive: true, force: true })
  }
}

/**
 * A copy of the session's one activations file, or undefined when none is whole by the deadline. Throws
 * `activations.invalid` when there are several or one is oversized: then nobody can say which belongs to the session.
 */
export async function sweep(source: Source, deadlineMs: number): Promise<Uint8Array | undefined> {
  const { directory } = source
  const end = performance.now() + deadlineMs
  for (;;) {
    const found = await look(source)
    if (found) return found
    const left = end - performance.now()
    if (left <= 0) return undefined
    await change(directory, Math.min(left, 20))
  }
}

async function look({ directory, session = '' }: Source): Promise<Uint8Array | undefined> {
  const all = readdirSync(directory)
  const most = session === '' ? MAX_ENTRIES : MAX_SHARED_ENTRIES
  if (all.length > most) throw invalid(`${all.length} entries; at most ${most} allowed`)
  const names = all.filter((name) => name.includes(session))
  const locked = new Set(
    names.filter((name) => name.endsWith('.lock')).map((name) => name.slice(0, -5)),
  )
  const files = names.filter((name) => name.endsWith('.safetensors'))
  if (files.length > 1) throw invalid('several files for one session')
  const [name] = files
  if (name === undefined) return undefined
  const copy = await copyOf(`${directory}/${name}`)
  if (!isComplete(copy)) {
    if (locked.has(name)) return undefined
    // Without a lock a file appears by rename: half a file is then a broken one, unless it is still growing.
    const { mtimeMs } = statSync(`${directory}/${name}`)
    if (Date.now() - mtimeMs > 250) return copy
    return undefined
  }
  return copy
}

async function copyOf(path: string): Promise<Uint8Array> {
  const file = openRegular(path)
  try {
    const info = fstatSync(file)
    if (!info.isFile()) throw invalid('not a regular file')
    if (info.size > MAX_FILE_BYTES)
      throw invalid(`${info.size} bytes; at most ${MAX_FILE_BYTES} allowed`)
    const copy = Buffer.alloc(info.size)
    const length =
      info.size > LARGE_BYTES
        ? (await readAside(file, copy, 0, info.size, 0)).bytesRead
        : readSync(file, copy, 0, info.size, 0)
    return new Uint8Array(copy.buffer, copy.byteOffset, length)
  } finally {
    closeSync(file)
  }
}

function openRegular(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    throw invalid('the file cannot be opened as a regular file')
  }
}

/** Resolves at the next change in the directory, or after `ms`: the watcher only saves time. */
function change(directory: string, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(directory, done)
    const timer = setTimeout(done, ms)
    watcher.on('error', done)
    function done() {
      clearTimeout(timer)
      watcher.close()
      resolve()
    }
  })
}

const invalid = (message: string) =>
  new SealedError('activations.invalid', `activations: ${message}`)
