// `nix/update-lock`: asks Debian's package index, in a configuration of its own, which version of each package in
// packages.json is current, follows nothing by itself, and writes lock.json: version, SHA-256 and pool path of each, and
// the snapshot that keeps them when the mirror no longer does. Signatures are checked by apt.
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Apt, ARCHIVE, privateApt } from './apt.ts'
import type { Lock, LockedPackage } from './lock.ts'

const SUITE = 'trixie'
const MIRRORS = [
  [`${ARCHIVE}/debian`, SUITE],
  [`${ARCHIVE}/debian`, `${SUITE}-updates`],
  [`${ARCHIVE}/debian-security`, `${SUITE}-security`],
] as const
const KERNEL = 'linux-image-cloud-amd64'
const BUSYBOX = 'busybox-static'

const wanted = JSON.parse(readFileSync(join(import.meta.dirname, 'packages.json'), 'utf8')) as {
  image: Record<string, string>
  tools: Record<string, string>
}

const directory = mkdtempSync(join(tmpdir(), 'sealed-apt-'))
try {
  const lock = makeLock(directory)
  writeFileSync(join(import.meta.dirname, 'lock.json'), `${JSON.stringify(lock, null, 2)}\n`)
  process.stdout.write(`nix/lock.json: ${lock.packages.length} packages\n`)
} finally {
  rmSync(directory, { recursive: true })
}

function makeLock(directory: string): Lock {
  const apt = privateApt(directory, MIRRORS)
  apt('apt-get', 'update', '-q')
  const kernel = /Depends: (linux-image-[0-9]\S+)/.exec(apt('apt-cache', 'depends', KERNEL))?.[1]
  if (!kernel) throw new Error(`${KERNEL} depends on no kernel`)
  const uses = new Map(
    (['image', 'tools'] as const).flatMap((use) =>
      Object.keys(wanted[use]).map((name) => [name === KERNEL ? kernel : name, use] as const),
    ),
  )
  const packages = apt('apt-get', '--print-uris', 'download', ...uses.keys())
    .trim()
    .split('\n')
    .map((line) => lockOne(line, uses))
  return { builder: lockBuilder(apt, directory), packages, snapshot: snapshotOf(directory) }
}

/** `'ADDRESS' NAME_VERSION_ARCH.deb SIZE SHA256:DIGEST` */
function lockOne(line: string, uses: ReadonlyMap<string, LockedPackage['use']>): LockedPackage {
  const [, uri = '', file = '', sha256 = ''] =
    /^'(\S+)' (\S+) \d+ SHA256:([0-9a-f]{64})$/.exec(line) ?? []
  const [name = '', version = ''] = file.split('_')
  const use = uses.get(name)
  if (!use) throw new Error(`the index answers with what was not asked for: ${line}`)
  return {
    archive: uri.includes('/debian-security/') ? 'debian-security' : 'debian',
    name,
    path: decodeURIComponent(uri.slice(uri.indexOf('/pool/') + 1)),
    sha256,
    use,
    version: decodeURIComponent(version),
  }
}

/** The one program that runs before anything is unpacked: it is named by its own digest. */
function lockBuilder(apt: Apt, directory: string): Lock['builder'] {
  apt('apt-get', 'download', BUSYBOX)
  const deb = readdirSync(directory).find((file) => file.startsWith(`${BUSYBOX}_`))
  if (!deb) throw new Error(`${BUSYBOX} was not downloaded`)
  apt('dpkg-deb', '-x', deb, 'unpacked')
  const path = 'usr/bin/busybox'
  const bytes = readFileSync(join(directory, 'unpacked', path))
  return { nar_sha256: archiveDigest(bytes), package: BUSYBOX, path }
}

/**
 * SHA-256 of a directory with one program in it as Nix archives it: strings with their length before them, filled up to
 * eight bytes. In a directory, since busybox goes by its file's name.
 */
function archiveDigest(program: Uint8Array): string {
  const hash = createHash('sha256')
  const file = ['(', 'type', 'regular', 'executable', '', 'contents', program, ')']
  const entry = ['entry', '(', 'name', 'busybox', 'node', ...file, ')']
  const parts = ['nix-archive-1', '(', 'type', 'directory', ...entry, ')']
  for (const part of parts) {
    const bytes = Buffer.from(part as string)
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(bytes.length))
    hash
      .update(length)
      .update(bytes)
      .update(Buffer.alloc(-bytes.length & 7))
  }
  return hash.digest('hex')
}

/** The time of the newest index: a snapshot of then has all of it. */
function snapshotOf(directory: string): string {
  const lists = join(directory, 'state', 'lists')
  const dates = readdirSync(lists)
    .filter((file) => file.endsWith('InRelease'))
    .map((file) => /^Date: (.*)$/m.exec(readFileSync(join(lists, file), 'utf8'))?.[1] ?? '')
    .map((date) => new Date(date).getTime())
  return new Date(Math.max(...dates)).toISOString().replace(/[-:]|\.000/g, '')
}
