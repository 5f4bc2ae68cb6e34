// Evaluates Nix expressions with nothing of this machine's own Nix in sight: no configuration, daemon, channels or store,
// no network. The one place that knows how it is called.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url)).replace(/\/$/, '')

/** Folders for use in expressions: `${NIX}/services.nix`. */
export const NIX = at('../../../nix')
export const TEST_NIX = at('..')

/** The value of an expression; rejects with what Nix says where it has none. */
export async function evaluate<T>(expression: string): Promise<T> {
  const own = await mkdtemp(join(tmpdir(), 'sealed-nix-'))
  try {
    const { stdout } = await run(
      'nix-instantiate',
      ['--eval', '--strict', '--json', '--expr', expression],
      {
        env: {
          PATH: process.env.PATH,
          HOME: own,
          NIX_REMOTE: 'local',
          NIX_CONF_DIR: join(own, 'etc'),
          NIX_STATE_DIR: join(own, 'var'),
          NIX_STORE_DIR: join(own, 'store'),
          NIX_LOG_DIR: join(own, 'log'),
          NIX_PATH: '',
          // No group of builders: nothing is built.
          NIX_CONFIG: 'build-users-group =\nsubstituters =\nallow-import-from-derivation = false',
        },
        maxBuffer: 16 * 1024 * 1024,
      },
    )
    return JSON.parse(stdout) as T
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}
