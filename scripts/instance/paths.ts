// Where an instance keeps its things.
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const REPOSITORY = resolve(import.meta.dirname, '..', '..')

export interface Paths {
  /** Four hex digits, from the state directory: two clones on one machine do not meet. */
  id: string
  state: string
  /** The embassy's own part of it: of a machine that seals and of one that cannot there are two. */
  database: string
  runtime: string
  config: string
  /** API keys, in a directory that the gateway's user may enter. */
  keys: string
  policy: string
  workload: string
  images: string
  logs: string
}

/** `unsealed`: of an instance that needs no right of root. */
export function pathsOf(stateDir: string, unsealed = false): Paths {
  const state = resolve(stateDir)
  const id = createHash('sha256').update(state).digest('hex').slice(0, 4)
  return {
    id,
    state,
    database: join(state, unsealed ? 'unsealed' : 'state'),
    // Short: a Unix socket's path has 104 bytes.
    runtime: unsealed
      ? join(tmpdir(), `sealed-${process.getuid?.() ?? 0}-${id}`)
      : `/run/sealed/${id}`,
    config: join(state, 'sealed.json'),
    keys: join(state, 'keys', 'keys.json'),
    policy: join(state, 'policy.json'),
    workload: join(state, 'workload.json'),
    images: join(REPOSITORY, '.sealed', 'images'),
    logs: join(state, 'logs'),
  }
}
