// `nix/build --policy-key PEM [--security-version N] [--console debug] [--out DIR] [--attribute NAME] [--check]`: puts the
// locked inputs into the Nix store, each against its digest, and builds the image from them in Nix's sandbox, without
// network. With --check that one step is done once more, and fails unless the bytes are the same. Ends with 3 where a
// locked input can no longer be had.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { NotToBeHad, readLock } from './lock.ts'
import { nixIn } from './nix.ts'
import { inputsOf, provideInputs } from './provide-inputs.ts'

const HERE = import.meta.dirname
const NOT_TO_BE_HAD = 3

const { values } = parseArgs({
  options: {
    attribute: { type: 'string', default: 'image' },
    check: { type: 'boolean', default: false },
    console: { type: 'string', default: 'production' },
    out: { type: 'string' },
    'policy-key': { type: 'string' },
    'security-version': { type: 'string', default: '1' },
  },
})

const say = (line: string) => process.stderr.write(`image: ${line}\n`)
const nix = nixIn(HERE)

const key = values['policy-key']
if (key === undefined || !existsSync(key)) {
  say(
    '--policy-key names no file: the public key, in PEM, of who says which images open a state; nix/keys makes one',
  )
  process.exit(2)
}
const settings = Object.entries({
  console: values.console,
  policyKey: resolve(key),
  securityVersion: values['security-version'],
}).flatMap(([name, value]) => ['--argstr', name, value])
const build = (...args: string[]) =>
  nix(
    'nix-build',
    join(HERE, 'default.nix'),
    '-A',
    values.attribute,
    ...settings,
    '--no-out-link',
    ...args,
  )

const directory = mkdtempSync(join(tmpdir(), 'sealed-image-'))
try {
  await provideInputs({ lock: readLock(), inputs: inputsOf(nix), directory, nix, say })
  say('building (no network, in a sandbox)')
  const path = build()
  if (values.check) {
    say('building once more, to compare')
    build('--check')
  }
  if (values.out) {
    mkdirSync(values.out, { recursive: true })
    // `cp` keeps the holes of the disk.
    for (const file of readdirSync(path))
      execFileSync('cp', ['--sparse=always', '--no-preserve=mode', join(path, file), values.out])
  }
  process.stdout.write(`${values.out ?? path}\n`)
} catch (error) {
  say((error as Error).message)
  process.exitCode = error instanceof NotToBeHad ? NOT_TO_BE_HAD : 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
