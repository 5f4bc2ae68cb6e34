// An apt with sources, lists and packages of its own, in one directory: what this machine has installed and trusts beside
// plays no part. Signatures are checked by apt, against Debian's own keys.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const ARCHIVE = 'http://deb.debian.org'
export const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Runs one of apt's or dpkg's programs in the directory; answers what it printed, throws where it fails. */
export type Apt = (command: string, ...args: string[]) => string

/** `sources` are addresses and suites, of which `main` is taken. */
export function privateApt(
  directory: string,
  sources: readonly (readonly [address: string, suite: string])[],
): Apt {
  for (const path of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(directory, path), { recursive: true })
  writeFileSync(join(directory, 'status'), '')
  const lines = sources.map(
    ([address, suite]) => `deb [signed-by=${KEYRING}] ${address} ${suite} main\n`,
  )
  writeFileSync(join(directory, 'sources.list'), lines.join(''))
  const config = join(directory, 'apt.conf')
  writeFileSync(
    config,
    [
      `Dir::State "${directory}/state";`,
      `Dir::State::status "${directory}/status";`,
      `Dir::Cache "${directory}/cache";`,
      `Dir::Etc::sourcelist "${directory}/sources.list";`,
      'Dir::Etc::sourceparts "-";',
      'APT::Architecture "amd64";',
      'APT::Sandbox::User "root";',
      'Acquire::Languages "none";',
    ].join('\n'),
  )
  const env = { ...process.env, APT_CONFIG: config, LC_ALL: 'C' }
  return (command, ...args) =>
    execFileSync(command, args, { cwd: directory, env, encoding: 'utf8' })
}
