// Says what a workload reads of files: `"read": [PATH, …]` in a request puts into the answer's metadata, under each path, the
// SHA-256 of its bytes, or why they cannot be read.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { RequestError } from '../server/openai-server.ts'

const MOST = 8

export async function readReport(asked: unknown): Promise<Record<string, string>> {
  if (asked === undefined) return {}
  const paths = Array.isArray(asked) ? asked : [undefined]
  if (paths.length > MOST || !paths.every((path) => typeof path === 'string'))
    throw new RequestError(
      400,
      'invalid_value',
      `read must be a list of up to ${MOST} paths`,
      'read',
    )
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, await read(path)])))
}

const read = (path: string): Promise<string> =>
  readFile(path).then(
    (bytes) => createHash('sha256').update(bytes).digest('hex'),
    ({ code }: NodeJS.ErrnoException) => `${code}`,
  )
