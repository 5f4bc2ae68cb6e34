// An image as a release makes it, for the tests that boot it: keys of its own, built, signed. Once for all tests of a
// clone, and again only where a source has changed, which Nix knows.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from '../../scripts/instance/paths.ts'

/** Options of the build. */
type Settings = { console?: string; 'security-version'?: string }

export interface Release {
  /** With disk.raw, uki.efi and reference-values.json, as the build leaves them. */
  built: string
  /** The same, signed. */
  signed: string
  keys: string
}

/** Stands for one that is not there, where tests are named and not run. */
export const NONE: Release = { built: '', signed: '', keys: '' }

const NOT_TO_BE_HAD = 3
const DIRECTORY = join(REPOSITORY, '.sealed', 'boot')
const MAX_OUTPUT = 1 << 26

/** Undefined where a locked input can no longer be had: then there is nothing to boot. */
export function release(name: string, settings: Settings = {}): Release | undefined {
  const keys = join(DIRECTORY, 'keys')
  const [built, signed] = [join(DIRECTORY, `${name}-built`), join(DIRECTORY, name)]
  if (!existsSync(join(keys, 'db.key'))) run('nix/keys', [keys])
  if (run('nix/build', [...argumentsOf(keys, settings), '--out', built]) === NOT_TO_BE_HAD)
    return undefined
  rmSync(signed, { recursive: true, force: true })
  execFileSync('cp', ['-r', '--sparse=always', built, signed])
  run('nix/sign', ['--image', signed, '--keys', keys])
  return { built, signed, keys }
}

/** Every step once more; throws where one has other bytes the second time. */
export function buildAgain(settings: Settings = {}): void {
  for (const attribute of ['tools', 'packages', 'bundle', 'initrd', 'root', 'uki', 'image'])
    run('nix/build', [
      ...argumentsOf(join(DIRECTORY, 'keys'), settings),
      ...['--attribute', attribute, '--check'],
    ])
}

const argumentsOf = (keys: string, settings: Settings): string[] =>
  Object.entries({ 'policy-key': join(keys, 'state-policy.pem'), ...settings }).flatMap(
    ([name, value]) => [`--${name}`, value],
  )

/** Runs a command, one of this clone's by its path in it; throws with what it said, unless something cannot be had. */
export function run(command: string, args: readonly string[]): number {
  const { status, stderr, stdout } = spawnSync(join(REPOSITORY, command), args, {
    cwd: REPOSITORY,
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT,
  })
  if (status === NOT_TO_BE_HAD) process.stderr.write(stderr)
  else if (status !== 0) throw new Error(`${command} ${args.join(' ')}:\n${stdout}\n${stderr}`)
  return status!
}
