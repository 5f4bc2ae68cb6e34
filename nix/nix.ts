// How Nix's commands run here: with a configuration of their own, so that nothing that this machine has set for Nix
// matters but where its store is.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'

/** Runs one of Nix's commands, answers with what it printed; throws where it failed. */
export type Nix = (command: string, ...args: string[]) => string

/** `here` is this folder. */
export function nixIn(here: string): Nix {
  const env = { ...process.env, NIX_CONF_DIR: join(here, 'conf'), NIX_PATH: '', NIX_REMOTE: '' }
  return (command, ...args) => {
    const { status, stdout, error } = spawnSync(command, args, {
      ...{ env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 },
    })
    if (error || status !== 0)
      throw new Error(`${command} ${args[0]} failed${error ? `: ${error.message}` : ''}`)
    return stdout.trim()
  }
}
