// authority new, key create, key list, key revoke: the two kinds of people who are admitted. An API key is shown once,
// here, and an authority's private key goes to its file alone.
import { resolve } from 'node:path'
import { type ApiKeyEntry, check, name as nameSchema } from '@sealed/protocol'
import { createApiKey } from '../../api-key.ts'
import { createAuthority } from '../../authority.ts'
import { writeAuthorityFile } from '../../authority-file.ts'
import { type Io, printJson } from '../io.ts'
import { editKeys, keysPath, readKeys } from '../keys-file.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

export async function authorityNewCommand(
  io: Io,
  given: string,
  flags: { out: string; json?: boolean },
): Promise<Exit> {
  const name = checkName(given)
  const { entry, jwk } = await createAuthority()
  await writeAuthorityFile(resolve(io.cwd, flags.out), jwk)
  const authority = { id: entry.id, name, public_key: entry.public_key }
  if (flags.json) printJson(io, { authority, file: flags.out })
  else {
    io.stderr.write(`Private key in ${flags.out}. Entry for "authorities" in sealed.json:\n`)
    io.stdout.write(`${JSON.stringify(authority)}\n`)
  }
  return EXIT.ok
}

interface KeyFlags {
  config?: string
  json?: boolean
}

export async function keyCreateCommand(
  io: Io,
  given: string,
  flags: KeyFlags & { requestsPerMinute?: number; concurrentRequests?: number },
): Promise<Exit> {
  const path = await keysPath(flags.config, io)
  const made = await createApiKey(checkName(given), io.now())
  const entry: ApiKeyEntry = {
    ...made.entry,
    ...(flags.requestsPerMinute !== undefined && { requests_per_minute: flags.requestsPerMinute }),
    ...(flags.concurrentRequests !== undefined && {
      concurrent_requests: flags.concurrentRequests,
    }),
  }
  await editKeys(path, (keys) => {
    const same = keys.find(({ name }) => name === entry.name)
    if (same)
      throw new UsageError(
        same.revoked_ms === undefined
          ? `there is a key named ${entry.name}; revoke it or take another name`
          : `a key named ${entry.name} was revoked, and usage is counted by name: take another`,
        'name',
      )
    return [...keys, entry]
  })
  if (flags.json) printJson(io, { api_key: made.apiKey, entry, file: path })
  else {
    io.stderr.write(`This key is shown once; ${path} holds its digest.\n`)
    io.stdout.write(`${made.apiKey}\n`)
  }
  return EXIT.ok
}

export async function keyListCommand(io: Io, flags: KeyFlags): Promise<Exit> {
  const path = await keysPath(flags.config, io)
  const { keys } = await readKeys(path)
  if (flags.json) printJson(io, { file: path, keys })
  else {
    if (keys.length === 0) io.stderr.write(`${path} holds no key: nobody is admitted\n`)
    for (const key of keys) io.stdout.write(`${lineOf(key)}\n`)
  }
  return EXIT.ok
}

export async function keyRevokeCommand(io: Io, name: string, flags: KeyFlags): Promise<Exit> {
  const path = await keysPath(flags.config, io)
  const revoked_ms = io.now()
  await editKeys(path, (keys) => {
    const found = keys.find((key) => key.name === name)
    if (!found) throw new UsageError(`there is no key named ${name} in ${path}`, 'name')
    if (found.revoked_ms !== undefined)
      throw new UsageError(`${name} was revoked ${dayOf(found.revoked_ms)}`, 'name')
    return keys.map((key) => (key === found ? { ...key, revoked_ms } : key))
  })
  if (flags.json) printJson(io, { file: path, name, revoked_ms })
  else io.stdout.write(`${name} is revoked: a running gateway refuses it within a second\n`)
  return EXIT.ok
}

function lineOf(key: ApiKeyEntry): string {
  const limits = [
    key.requests_per_minute !== undefined && `${key.requests_per_minute} a minute`,
    key.concurrent_requests !== undefined && `${key.concurrent_requests} at once`,
  ].filter((limit) => limit !== false)
  const end = key.revoked_ms === undefined ? [] : [`revoked ${dayOf(key.revoked_ms)}`]
  return [key.name.padEnd(24), `created ${dayOf(key.created_ms)}`, ...limits, ...end].join('  ')
}

const dayOf = (ms: number) => {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString().slice(0, 10)
}

function checkName(given: string): string {
  try {
    return check(nameSchema, given, 'NAME')
  } catch (error) {
    throw new UsageError((error as Error).message, 'name')
  }
}
