// Kernel modules: those that are named, and those that they need, in the order in which they are to be loaded.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { tool } from './tools.ts'

export interface Modules {
  /** Of the kernel, as `uname -r` has it. */
  version: string
  /** Paths below `usr/lib/modules/VERSION`, each after those that it needs. */
  files: string[]
}

const DIRECTORY = 'usr/lib/modules'

export function modulesOf(packages: string, names: readonly string[]): Modules {
  const [version = ''] = readdirSync(join(packages, DIRECTORY))
  const needs = dependencies(packages, version)
  const files = new Set<string>()
  const take = (file: string) => {
    for (const need of needs.get(file) ?? []) take(need)
    files.add(file)
  }
  const byName = new Map([...needs.keys()].map((file) => [nameOf(file), file]))
  for (const name of names) {
    const file = byName.get(name.replaceAll('-', '_'))
    if (!file && !builtIn(packages, version).has(name.replaceAll('-', '_')))
      throw new Error(`the kernel has no module ${name}`)
    if (file) take(file)
  }
  return { version, files: [...files] }
}

/** Writes what `modprobe` looks up, for the modules that lie in `tree`. */
export function indexModules(tree: string, version: string): void {
  tool('usr/bin/kmod', ['-b', tree, version], { name: 'depmod' })
}

const nameOf = (file: string) =>
  basename(file)
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_')

const builtIn = (packages: string, version: string) =>
  new Set(
    readFileSync(join(packages, DIRECTORY, version, 'modules.builtin'), 'utf8')
      .split('\n')
      .map(nameOf),
  )

function dependencies(packages: string, version: string): Map<string, string[]> {
  // A copy, since the index is written beside the modules.
  const tree = mkdtempSync(join(process.cwd(), 'modules-'))
  mkdirSync(join(tree, DIRECTORY), { recursive: true })
  symlinkSync('usr/lib', join(tree, 'lib'))
  cpSync(join(packages, DIRECTORY, version), join(tree, DIRECTORY, version), { recursive: true })
  tool('usr/bin/kmod', ['-b', tree, version], { name: 'depmod' })
  const lines = readFileSync(join(tree, DIRECTORY, version, 'modules.dep'), 'utf8')
    .trim()
    .split('\n')
  return new Map(
    lines.map((line) => {
      const [file = '', needs = ''] = line.split(':')
      return [file, needs.trim() === '' ? [] : needs.trim().split(' ')]
    }),
  )
}
