// Where the settings of a call come from: the flag, then the environment, then the default. Flags never hold a secret
// that the environment can hold, because other users of a machine can list arguments.
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type Policy, parsePolicy, SealedError, STRICT_POLICY } from '@sealed/protocol'
import type { AttestOptions } from '../attest.ts'
import { Gateway, type GatewayOptions } from '../gateway.ts'
import type { Io } from './io.ts'
import { UsageError } from './usage.ts'

export interface CommonFlags {
  url?: string
  policy?: string
  json?: boolean
  verbose?: boolean
}

export const DEFAULT_URL = 'http://127.0.0.1:8080'
const DEV_POLICY = join('.sealed', 'default', 'policy.json')

export async function attestOptions(
  flags: CommonFlags & { apiKey?: string },
  io: Io,
): Promise<AttestOptions> {
  const apiKey = flags.apiKey || io.env.SEALED_API_KEY
  const gateway = {
    url: flags.url || io.env.SEALED_URL || DEFAULT_URL,
    ...(apiKey && { apiKey }),
    ...(io.fetch && { fetch: io.fetch }),
  }
  openGateway(gateway)
  return { ...gateway, policy: await loadPolicy(flags.policy, io), now: io.now }
}

/** A gateway; a URL that cannot be one is a usage error. */
export function openGateway(options: GatewayOptions): Gateway {
  try {
    return new Gateway(options)
  } catch (error) {
    throw error instanceof SealedError ? new UsageError(error.message, error.param) : error
  }
}

/** `strict`, `dev` (the policy of the development instance at or above the current folder), or a file. */
export async function loadPolicy(choice: string | undefined, io: Io): Promise<Policy> {
  if (choice === undefined || choice === 'strict') return STRICT_POLICY
  const path = choice === 'dev' ? undefined : resolve(io.cwd, choice)
  const [file, source] = path ? [path, await readPolicy(path)] : await findDevPolicy(io.cwd)
  try {
    return parsePolicy(source)
  } catch (error) {
    if (!(error instanceof SealedError)) throw error
    throw new UsageError(`${file} is no policy: ${error.message}`, 'policy')
  }
}

async function readPolicy(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const why =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no file' : 'cannot read'
    throw new UsageError(`${why} ${path}; --policy takes strict, dev or a policy file`, 'policy')
  }
}

async function findDevPolicy(from: string): Promise<[file: string, source: string]> {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const file = join(folder, DEV_POLICY)
    const source = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw new UsageError(`cannot read ${file}: ${error.message}`, 'policy')
    })
    if (source !== undefined) return [file, source]
    if (dirname(folder) === folder) break
  }
  throw new UsageError(
    `there is no ${DEV_POLICY} in this folder or above it; start a development instance with \`npm start\`, or give a policy file`,
    'policy',
  )
}
