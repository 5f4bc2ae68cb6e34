// restore: puts a backup where a stopped embassy's database was. What was there is moved aside, never deleted, and a marker
// tells the embassy to go on in a new log that states the gap: nobody can mistake it for what was there.
import { constants, copyFile, open, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { checkBackup, holdersOf } from '../database-file.ts'
import { type Io, printJson } from '../io.ts'
import { sync } from '../new-file.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

const DATABASE = 'embassy.db'
const MARKER = 'embassy.db.restored'
/** SQLite's files of one database; the first goes last, so that a restore that was cut off is seen. */
const SUFFIXES = ['-wal', '-shm', '-journal', '']

export async function restoreCommand(
  io: Io,
  given: string,
  flags: { state: string; json?: boolean },
): Promise<Exit> {
  const backup = resolve(io.cwd, given)
  const state = resolve(io.cwd, flags.state)
  if (process.getuid?.() !== 0)
    throw new UsageError('the state of an embassy is root’s: run as root')
  await checkBackup(backup)
  const found = await stat(state).catch(() => undefined)
  if (!found?.isDirectory())
    throw new UsageError(`there is no directory ${state}: name state_dir of sealed.json`, 'state')
  const database = join(state, DATABASE)
  await refuseHeld(database)
  const part = join(state, `${DATABASE}.part`)
  await rm(part, { force: true })
  try {
    await copyFile(backup, part, constants.COPYFILE_EXCL)
    await secure(part)
    await refuseHeld(database)
    const aside = await moveAside(database, io.now())
    await (await open(join(state, MARKER), 'a', 0o600)).close()
    await sync(state)
    await rename(part, database)
    await sync(state)
    if (flags.json) printJson(io, { database, moved_aside: aside ?? null })
    else io.stdout.write(`${lines(database, aside).join('\n')}\n`)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`cannot restore: ${(error as Error).message}`, 'state')
  } finally {
    await rm(part, { force: true })
  }
  return EXIT.ok
}

async function refuseHeld(database: string): Promise<void> {
  const [holder] = await holdersOf(database)
  if (holder !== undefined)
    throw new UsageError(
      `an embassy uses ${database} (process ${holder}): stop it, and what starts it again`,
      'state',
    )
}

/** Only its owner reads it, and a power cut does not take it. */
async function secure(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.chmod(0o600)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Renames what is there so that SQLite could open it still; undefined where there was nothing. */
async function moveAside(database: string, now: number): Promise<string | undefined> {
  const dated = `${database}.before-${new Date(now).toISOString().replace(/[:.]/g, '-')}`
  let name = dated
  for (let n = 2; (await anyOf(name)).length > 0; n++) name = `${dated}-${n}`
  const found = await anyOf(database)
  for (const suffix of found) await rename(database + suffix, name + suffix)
  return found.length > 0 ? name : undefined
}

/** Which of a database's files are there. */
async function anyOf(database: string): Promise<string[]> {
  const found: string[] = []
  for (const suffix of SUFFIXES)
    if (await stat(database + suffix).catch(() => undefined)) found.push(suffix)
  return found
}

const lines = (database: string, aside: string | undefined): string[] => [
  `restored     ${database}`,
  ...(aside === undefined ? [] : [`moved aside  ${aside}`]),
  'Restart the machine: the embassy goes on in a new log that states the gap, and every reading counts one rollback.',
]
