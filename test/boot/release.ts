// An image as a release makes it, for the tests that boot it: keys of its own, built, signed. Once for all tests of a
// clone, and again only where a source has changed, which Nix knows.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from '../../scripts/instance/paths.ts'

export interface Release {
  /** With disk.raw, uki.efi (signed) and reference-values.json. */
  image: string
  keys: string
}

const NOT_TO_BE_HAD = 3
const DIRECTORY = join(REPOSITORY, '.sealed', 'boot')
const MAX_OUTPUT = 1 << 26

/** Undefined where a locked input can no longer be had: then there is nothing to boot. */
export function release(settings: Record<string, string> = {}, name = 'image'): Release | undefined {
  const keys = join(DIRECTORY, 'keys')
  const image = join(DIRECTORY, name)
  if (!existsSync(join(keys, 'db.key'))) run('nix/keys', [keys])
  const all = { policyKey: join(keys, 'state-policy.pem'), ...settings }
  const options = Object.entries(all).flatMap(([key, value]) => ['--argstr', `${key}=${value}`])
  const status = run('nix/build', [...options, '--out', image])
  if (status === NOT_TO_BE_HAD) return undefined
  const version = settings.securityVersion ?? '1'
  run('nix/sign', ['--image', image, '--keys', keys, '--security-version', version])
  return { image, keys }
}

/** Runs one of this clone's commands; throws with what it said, unless it says that something cannot be had. */
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
