// Runs a system tool to its end. Arguments are a list, never a shell string.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const PACKAGES: Record<string, string> = {
  swtpm: 'swtpm',
  tpm2: 'tpm2-tools',
  openssl: 'openssl',
  ip: 'iproute2',
  nft: 'nftables',
}

/** A tool that is not there, in words that say how to get it. */
export const missing = (command: string): Error =>
  new Error(
    `${command} is not installed: run scripts/setup, or apt-get install ${PACKAGES[command] ?? command}`,
  )

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Standard output of the tool; an Error with the command line and its standard error when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, {
      ...options,
      encoding: 'utf8',
      timeout: 60_000,
    })
    return stdout
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string }
    if (code === 'ENOENT') throw missing(command)
    throw new Error(`${command} ${args.join(' ')} failed: ${stderr?.trim() || String(error)}`, {
      cause: error,
    })
  }
}
