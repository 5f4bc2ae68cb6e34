// The initial file system: one script, busybox, dmsetup, and the modules that lead to the root.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { type CpioEntry, FILE, FOLDER, PROGRAM, writeCpio } from './cpio.ts'
import { LOADER, librariesOf } from './libraries.ts'
import { modulesOf } from './modules.ts'
import { given, givenJson } from './tools.ts'

const DMSETUP = 'usr/sbin/dmsetup'

const packages = given('packages')
const { version, files } = modulesOf(packages, givenJson<string[]>('modules'))
const modules = files.map((file) => {
  const path = join(packages, 'usr/lib/modules', version, file)
  return {
    name: basename(file, '.xz'),
    content: file.endsWith('.xz')
      ? execFileSync('xzcat', [path], { maxBuffer: 1 << 28 })
      : readFileSync(path),
  }
})
const taken = [DMSETUP, ...librariesOf(packages, [DMSETUP])]
const programs: CpioEntry[] = [
  { path: 'init', mode: PROGRAM, content: readFileSync(given('init')) },
  { path: 'busybox', mode: PROGRAM, content: readFileSync(given('busybox')) },
  ...taken.map((path) => ({
    path: path === LOADER ? 'lib64/ld-linux-x86-64.so.2' : path,
    mode: PROGRAM,
    content: readFileSync(join(packages, path)),
  })),
  ...modules.map(({ name, content }) => ({ path: `modules/${name}`, mode: FILE, content })),
  {
    path: 'modules/order',
    mode: FILE,
    content: Buffer.from(modules.map(({ name }) => `${name}\n`).join('')),
  },
]
const folders = new Set<string>(['proc', 'sys', 'dev', 'sysroot'])
for (const { path } of programs)
  for (let up = dirname(path); up !== '.'; up = dirname(up)) folders.add(up)
const entries = [
  ...[...folders].sort().map((path) => ({ path, mode: FOLDER, content: Buffer.alloc(0) })),
  ...programs,
]
writeFileSync(
  given('out'),
  zstdCompressSync(writeCpio(entries), { params: { [constants.ZSTD_c_compressionLevel]: 19 } }),
)
