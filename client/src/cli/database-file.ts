// An embassy's database as a file: what its first bytes say of it, and who holds it open. It is never opened as one here.
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from './usage.ts'

const MAGIC = 'SQLite format 3\0'
/** `application_id` and `user_version` of the databases that this version can restore. */
const APPLICATION_ID = 0x5345414c
const LAYOUT = 2

/** Throws a usage error unless this is a whole database of an embassy (SQLite's file format, section 1.3). */
export async function checkBackup(path: string): Promise<void> {
  const file = await open(path, 'r').catch((error: Error) => {
    throw new UsageError(`cannot read the backup: ${error.message}`, 'backup')
  })
  try {
    const header = await readHeader(file)
    if (header?.toString('latin1', 0, 16) !== MAGIC || header.readUInt32BE(68) !== APPLICATION_ID)
      throw new UsageError(`${path} is no backup of an embassy`, 'backup')
    const layout = header.readUInt32BE(60)
    if (layout !== LAYOUT)
      throw new UsageError(
        `${path} has layout ${layout}, this version restores ${LAYOUT}: use the version that made it`,
        'backup',
      )
    const page = header.readUInt16BE(16)
    const bytes = (page === 1 ? 65_536 : page) * header.readUInt32BE(28)
    const { size } = await file.stat()
    if (size !== bytes)
      throw new UsageError(`${path} has ${size} of its ${bytes} bytes: it is not whole`, 'backup')
  } finally {
    await file.close()
  }
}

async function readHeader(file: FileHandle): Promise<Buffer | undefined> {
  const header = Buffer.alloc(100)
  const { bytesRead } = await file.read(header, 0, 100, 0)
  return bytesRead === 100 ? header : undefined
}

/** Processes that have this file open, by its inode: paths can lie. Root sees all of them. */
export async function holdersOf(path: string): Promise<number[]> {
  const wanted = await stat(path).catch(() => undefined)
  if (!wanted) return []
  const holders: number[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const directory = join('/proc', pid, 'fd')
    for (const fd of await readdir(directory).catch(() => [])) {
      const held = await stat(join(directory, fd)).catch(() => undefined)
      if (held?.ino !== wanted.ino || held.dev !== wanted.dev) continue
      holders.push(Number(pid))
      break
    }
  }
  return holders
}
