// authority new, key new: key material for the two kinds of people who are admitted. An API key is shown once, here,
// and an authority's private key goes to its file alone.
import { resolve } from 'node:path'
import { check, name as nameSchema } from '@sealed/protocol'
import { createApiKey } from '../../api-key.ts'
import { createAuthority } from '../../authority.ts'
import { writeAuthorityFile } from '../../authority-file.ts'
import { type Io, printJson } from '../io.ts'
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

export async function keyNewCommand(
  io: Io,
  given: string,
  flags: { json?: boolean },
): Promise<Exit> {
  const { apiKey, entry } = await createApiKey(checkName(given))
  if (flags.json) printJson(io, { api_key: apiKey, entry })
  else {
    io.stderr.write(
      `This key is shown once. Entry for "api_keys" in sealed.json: ${JSON.stringify(entry)}\n`,
    )
    io.stdout.write(`${apiKey}\n`)
  }
  return EXIT.ok
}

function checkName(given: string): string {
  try {
    return check(nameSchema, given, 'NAME')
  } catch (error) {
    throw new UsageError((error as Error).message, 'name')
  }
}
