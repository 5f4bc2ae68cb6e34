// `nix/sign --image DIRECTORY --keys DIRECTORY [--oldest N]`: what a build cannot do, since it has
// no secret: signs the unified kernel image for Secure Boot, and says which PCR values of this image may open a state
// partition. Both go into disk.raw; what is measured of it stays the same, and is held against reference-values.json.
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { nixIn } from './nix.ts'
import { secureBootPcr } from './signature-lists.ts'

const HERE = import.meta.dirname
const REPOSITORY = join(HERE, '..')
const SECTOR = 512
const ZERO = '00'.repeat(32)

interface Reference {
  security_version: number
  image: { pcrs: { index: number; digests: string[] }[] }
}

const { values } = parseArgs({
  options: {
    image: { type: 'string' },
    keys: { type: 'string' },
    oldest: { type: 'string', default: '1' },
  },
})
if (!values.image || !values.keys) {
  process.stderr.write(
    'usage: nix/sign --image DIRECTORY --keys DIRECTORY [--oldest SECURITY-VERSION]\n',
  )
  process.exit(2)
}
const { image, keys } = values
const disk = join(image, 'disk.raw')
const key = (name: string) => join(keys, name)
for (const [path, cure] of [
  [disk, 'nix/build --out makes it'],
  [key('db.key'), 'nix/keys makes it'],
]) {
  if (existsSync(path!)) continue
  process.stderr.write(`sign: ${path} is not there: ${cure}\n`)
  process.exit(2)
}

const work = mkdtempSync(join(tmpdir(), 'sealed-sign-'))
try {
  const tools = nixIn(HERE)(
    'nix-build',
    join(HERE, 'default.nix'),
    '-A',
    'tools',
    '--no-out-link',
    '--argstr',
    'policyKey',
    resolve(key('state-policy.pem')),
  )
  const tool = toolsOf(tools)
  const signed = join(work, 'uki.efi')
  tool(
    'usr/bin/sbsign',
    '--key',
    key('db.key'),
    '--cert',
    key('db.pem'),
    '--output',
    signed,
    join(image, 'uki.efi'),
  )
  const partitions = partitionsOf(tool('usr/sbin/sfdisk', '--json', disk))
  tool(
    'usr/bin/mcopy',
    '-o',
    '-i',
    `${disk}@@${partitions.get('esp')}`,
    signed,
    '::/EFI/BOOT/BOOTX64.EFI',
  )
  renameOver(signed, join(image, 'uki.efi'))
  approve(partitions.get('sealed-approvals')!)
  // The signature changed nothing that is measured, and nothing else was changed.
  run(
    'client/bin/sealed.ts',
    'image',
    'verify',
    disk,
    '--reference',
    join(image, 'reference-values.json'),
  )
  process.stdout.write(
    `${disk} is signed, and approved for security version ${reference().security_version}\n`,
  )
} catch (error) {
  process.stderr.write(`sign: ${(error as Error).message}\n`)
  process.exitCode = 1
} finally {
  rmSync(work, { recursive: true })
}

function reference(): Reference {
  return JSON.parse(readFileSync(join(image, 'reference-values.json'), 'utf8')) as Reference
}

/** Signs this image's PCR values, as most machines have them under Secure Boot and as GCE's TDX machines do. */
function approve(offset: number): void {
  const {
    image: { pcrs },
    security_version,
  } = reference()
  const row = (index: number) => pcrs.find((pcr) => pcr.index === index)?.digests ?? []
  const lists = {
    PK: readFileSync(key('PK.esl')),
    KEK: readFileSync(key('KEK.esl')),
    db: readFileSync(key('db.esl')),
    dbx: readFileSync(key('dbx.esl')),
  }
  const [usual, , tdx] = row(4)
  const set = (boot: string | undefined) => ({
    4: boot,
    7: secureBootPcr(lists).toString('hex'),
    9: row(9)[0],
    11: row(11)[0],
    12: ZERO,
  })
  writeFileSync(join(work, 'pcrs.json'), JSON.stringify({ usual: set(usual), tdx: set(tdx) }))
  const out = join(work, 'pcr-policy.json')
  run(
    ...['embassy/src/state-disk/sign-main.ts', '--key', key('state-policy.key')],
    ...['--pcrs', join(work, 'pcrs.json'), '--out', out],
    ...['--security-version', `${security_version}`, '--oldest', values.oldest],
  )
  const approvals = readFileSync(out)
  const file = openSync(disk, 'r+')
  writeSync(file, approvals, 0, approvals.length, offset)
  closeSync(file)
}

function run(script: string, ...args: string[]): void {
  execFileSync(process.execPath, [join(REPOSITORY, script), ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

type Tool = (path: string, ...args: string[]) => string

/** The locked packages' own programs, under their own loader: this machine needs none of them. */
function toolsOf(tools: string): Tool {
  const libraries = join(tools, 'usr/lib/x86_64-linux-gnu')
  return (path, ...args) =>
    execFileSync(
      join(tools, 'usr/lib64/ld-linux-x86-64.so.2'),
      ['--library-path', libraries, '--argv0', path.split('/').at(-1)!, join(tools, path), ...args],
      {
        encoding: 'utf8',
        env: { ...process.env, GCONV_PATH: join(libraries, 'gconv'), LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
}

/** Offsets in bytes, by name. */
function partitionsOf(json: string): Map<string, number> {
  const { partitiontable } = JSON.parse(json) as {
    partitiontable: { partitions: { name: string; start: number }[] }
  }
  return new Map(partitiontable.partitions.map(({ name, start }) => [name, start * SECTOR]))
}

function renameOver(from: string, to: string): void {
  writeFileSync(`${to}.part`, readFileSync(from))
  renameSync(`${to}.part`, to)
}
