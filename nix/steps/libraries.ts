// The shared libraries that programs need, found as the loader finds them: by the names that the files state themselves.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { LIBRARIES } from './tools.ts'

const SEARCHED = [LIBRARIES, `${LIBRARIES}/systemd`, 'usr/lib64']
export const LOADER = 'usr/lib64/ld-linux-x86-64.so.2'
const DYNAMIC = 6
const NEEDED = 1n

/** Of `programs`, given by their paths in the tree or whole: paths, in the tree, of the loader, the libraries of `programs` and the libraries' own; throws for one that is not there. */
export function librariesOf(tree: string, programs: readonly string[]): string[] {
  const found = new Set([LOADER])
  const queue = [...programs]
  for (let next = queue.shift(); next; next = queue.shift()) {
    for (const name of neededBy(readFileSync(resolve(tree, next)))) {
      const path = SEARCHED.map((directory) => `${directory}/${name}`).find((path) =>
        existsSync(join(tree, path)),
      )
      if (!path) throw new Error(`${next} needs ${name}, which no package of nix/packages.json has`)
      if (found.has(path)) continue
      found.add(path)
      queue.push(path)
    }
  }
  return [...found].sort()
}

/** The names of the libraries that an ELF file asks for; none where it is no dynamic ELF file. */
export function neededBy(file: Buffer): string[] {
  if (file.readUInt32BE(0) !== 0x7f454c46) return []
  const sections = sectionsOf(file)
  const dynamic = sections.find(({ type }) => type === DYNAMIC)
  if (!dynamic) return []
  const strings = sections[dynamic.link]!
  const names: string[] = []
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    if (file.readBigUInt64LE(at) !== NEEDED) continue
    const start = strings.offset + Number(file.readBigUInt64LE(at + 8))
    names.push(file.toString('latin1', start, file.indexOf(0, start)))
  }
  return names
}

function sectionsOf(file: Buffer): { type: number; offset: number; size: number; link: number }[] {
  const start = Number(file.readBigUInt64LE(0x28))
  const size = file.readUInt16LE(0x3a)
  const count = file.readUInt16LE(0x3c)
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * size
    return {
      link: file.readUInt32LE(at + 0x28),
      offset: Number(file.readBigUInt64LE(at + 0x18)),
      size: Number(file.readBigUInt64LE(at + 0x20)),
      type: file.readUInt32LE(at + 4),
    }
  })
}
