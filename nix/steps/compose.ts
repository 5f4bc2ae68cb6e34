// Lays out the root's file system: what contents.nix lists, taken from the packages and the bundle, and nothing else.
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { librariesOf } from './libraries.ts'
import { indexModules, modulesOf } from './modules.ts'
import { LIBRARIES } from './tools.ts'

export interface Contents {
  /** Programs of the packages, by their paths; their libraries come with them. */
  programs: string[]
  /** Libraries that a program loads by name while it runs. */
  libraries: string[]
  /** Files and folders of the packages. */
  files: string[]
  modules: string[]
  /** A folder of certificates, which become the one file that programs look for. */
  authorities: string
  /** Files by path. */
  texts: Record<string, string>
  /** What each name leads to. */
  links: Record<string, string>
  /** Empty folders: mount points. */
  folders: string[]
}

/** What of the bundle is compiled. */
const NATIVE = [
  'usr/bin/node',
  'usr/lib/sealed/node_modules/better-sqlite3/prebuilds/linux-x64.node',
]

/** Where Go's and OpenSSL's programs look on Debian. */
const AUTHORITIES = 'etc/ssl/certs/ca-certificates.crt'

/** Writes the tree. */
export function compose(tree: string, contents: Contents, packages: string, bundle: string): void {
  const take = (path: string) => copy(packages, tree, path)
  for (const path of ['usr/bin', 'usr/sbin', LIBRARIES, 'usr/lib64', ...contents.folders])
    mkdirSync(join(tree, path), { recursive: true })
  for (const [name, target] of [
    ['bin', 'usr/bin'],
    ['sbin', 'usr/sbin'],
    ['lib', 'usr/lib'],
    ['lib64', 'usr/lib64'],
  ] as const)
    symlinkSync(target, join(tree, name))
  for (const path of contents.programs) take(path)
  const libraries = contents.libraries.map((name) => `${LIBRARIES}/${name}`)
  for (const path of librariesOf(packages, [...contents.programs, ...libraries])) take(path)
  for (const path of libraries) take(path)
  for (const path of contents.files) take(path)
  writeAuthorities(tree, join(packages, contents.authorities))
  cpSync(bundle, tree, { recursive: true })
  for (const path of librariesOf(
    packages,
    NATIVE.map((path) => join(bundle, path)),
  ))
    take(path)
  const { version, files } = modulesOf(packages, contents.modules)
  for (const file of files) take(`usr/lib/modules/${version}/${file}`)
  for (const file of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'])
    take(`usr/lib/modules/${version}/${file}`)
  indexModules(tree, version)
  for (const [path, text] of Object.entries(contents.texts)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    // What names its interpreter is a program.
    writeFileSync(join(tree, path), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 })
  }
  for (const [path, target] of Object.entries(contents.links)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    symlinkSync(target, join(tree, path))
  }
  setModes(tree)
}

function writeAuthorities(tree: string, folder: string): void {
  const names = readdirSync(folder).filter((name) => name.endsWith('.crt'))
  if (names.length === 0) throw new Error(`${folder} has no certificates`)
  const bundle = names.sort().map((name) => readFileSync(join(folder, name), 'utf8'))
  mkdirSync(join(tree, 'etc/ssl/certs'), { recursive: true })
  writeFileSync(join(tree, AUTHORITIES), bundle.join(''))
}

/** A file under its own name; a link becomes the file that it leads to. A folder is taken whole, links as they are. */
function copy(from: string, tree: string, path: string): void {
  const target = join(tree, path)
  mkdirSync(dirname(target), { recursive: true })
  const source = realpathSync(join(from, path))
  cpSync(source, target, { recursive: true, verbatimSymlinks: true, force: true })
}

function setModes(path: string): void {
  const status = lstatSync(path)
  if (status.isSymbolicLink()) return
  if (status.isDirectory()) {
    chmodSync(path, 0o755)
    for (const name of readdirSync(path)) setModes(join(path, name))
  } else chmodSync(path, status.mode & 0o111 ? 0o755 : 0o644)
}
