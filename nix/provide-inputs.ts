// Puts what comes from outside into the Nix store: Debian's packages from the mirror or the snapshot, npm's from the
// registry that npm is set to. What is there already is not fetched again; what has another digest is refused.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addressesOf, type Lock, type LockedPackage, NotToBeHad } from './lock.ts'
import type { Nix } from './nix.ts'

interface Inputs {
  /** Store path of each, by the name that it has in the store. */
  busybox: string
  debian: Record<string, string>
  npm: { spec: string; file: string; path: string }[]
}

const DEADLINE_MS = 300_000
const AT_ONCE = 4

export const inputsOf = (nix: Nix): Inputs =>
  JSON.parse(
    nix(
      'nix-instantiate',
      '--eval',
      '--strict',
      '--json',
      join(import.meta.dirname, 'inputs.nix'),
      '-A',
      'list',
    ),
  ) as Inputs

export async function provideInputs(options: {
  lock: Lock
  inputs: Inputs
  /** For what is fetched, until it is in the store. */
  directory: string
  nix: Nix
  say: (line: string) => void
}): Promise<void> {
  const { lock, inputs, directory, nix, say } = options
  const missing = lock.packages.filter(({ name }) => !existsSync(inputs.debian[name] ?? ''))
  const npm = inputs.npm.filter(({ path }) => !existsSync(path))
  const busybox = !existsSync(inputs.busybox)
  const builder = lock.packages.filter(({ name }) => name === lock.builder.package && busybox)
  const wanted = [...new Set([...missing, ...builder])]
  if (wanted.length + npm.length === 0) return
  say(`fetching ${wanted.length} packages of Debian and ${npm.length} of npm`)
  const debs = join(directory, 'debian')
  mkdirSync(debs)
  const queue = [...wanted]
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await fetchDebian(next, lock, debs)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  add(
    nix,
    inputs.debian,
    'sha256',
    debs,
    missing.map(({ name }) => `${name}.deb`),
  )
  if (busybox) addBusybox(lock, inputs, debs, nix)
  addNpm(npm, directory, nix)
}

async function fetchDebian(wanted: LockedPackage, lock: Lock, directory: string): Promise<void> {
  const failures: string[] = []
  for (const address of addressesOf(wanted, lock)) {
    const bytes = await download(address).catch((error: Error) => error)
    if (bytes instanceof Error) failures.push(`${address}: ${bytes.message}`)
    else if (createHash('sha256').update(bytes).digest('hex') !== wanted.sha256)
      failures.push(`${address}: another SHA-256 than nix/lock.json has`)
    else return writeFileSync(join(directory, `${wanted.name}.deb`), bytes)
  }
  throw new NotToBeHad(
    `${wanted.name} ${wanted.version} can no longer be had; nix/update-lock locks today's versions.\n${failures.join('\n')}`,
  )
}

async function download(address: string): Promise<Uint8Array> {
  const response = await fetch(address, { signal: AbortSignal.timeout(DEADLINE_MS) })
  if (!response.ok) throw new Error(`status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

/** Adds files to the store and holds the paths against those that the expressions will look for. */
function add(
  nix: Nix,
  expected: Readonly<Record<string, string>>,
  algorithm: string,
  directory: string,
  files: readonly string[],
): void {
  if (files.length === 0) return
  const paths = nix(
    'nix-store',
    '--add-fixed',
    algorithm,
    ...files.map((file) => join(directory, file)),
  ).split('\n')
  files.forEach((file, i) => {
    const path = expected[file.replace(/\.deb$/, '')]
    if (paths[i] !== path) throw new NotToBeHad(`${file}: another digest than the lock file has`)
  })
}

function addBusybox({ builder }: Lock, inputs: Inputs, debs: string, nix: Nix): void {
  execFileSync('dpkg-deb', ['-x', join(debs, `${builder.package}.deb`), join(debs, 'unpacked')])
  const directory = join(debs, 'busybox')
  mkdirSync(directory)
  copyFileSync(join(debs, 'unpacked', builder.path), join(directory, 'busybox'))
  const path = nix('nix-store', '--add-fixed', '--recursive', 'sha256', directory)
  if (path !== inputs.busybox)
    throw new NotToBeHad('busybox: another digest than nix/lock.json has')
}

function addNpm(npm: Inputs['npm'], directory: string, nix: Nix): void {
  if (npm.length === 0) return
  const packed = join(directory, 'npm')
  mkdirSync(packed)
  try {
    const specs = npm.map(({ spec }) => spec)
    execFileSync('npm', ['pack', '--silent', '--pack-destination', packed, ...specs], {
      cwd: packed,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  } catch {
    throw new NotToBeHad(
      'npm pack did not bring every package of package-lock.json: its messages above say which.',
    )
  }
  const expected = Object.fromEntries(npm.map(({ file, path }) => [file, path]))
  const there = new Set(readdirSync(packed))
  for (const { file } of npm) if (!there.has(file)) throw new NotToBeHad(`npm packed no ${file}`)
  add(
    nix,
    expected,
    'sha512',
    packed,
    npm.map(({ file }) => file),
  )
}
