// What stands in an image's place where there is no container engine: a list of a workload's files and their digests.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from './images.ts'
import { REPOSITORY } from './paths.ts'

/** Writes the list of one demo workload; its identity is the SHA-256 of the list. */
export async function writeProgram(name: string, directory: string): Promise<Image> {
  const workloads = join(REPOSITORY, 'workloads')
  const folders = [name, 'server', ...(name === 'reference' ? ['model'] : [])]
  const files: { digest: string; path: string }[] = []
  for (const folder of folders)
    for (const file of (await readdir(join(workloads, folder))).sort()) {
      const path = join(workloads, folder, file)
      files.push({ digest: sha256(await readFile(path)), path })
    }
  const list = `${JSON.stringify({ files, main: join(workloads, name, 'main.ts'), version: 1 }, null, 2)}\n`
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const archive = join(directory, `${name}.program.json`)
  await writeFile(archive, list)
  return { archive, id: sha256(list) }
}

const sha256 = (content: Uint8Array | string) => createHash('sha256').update(content).digest('hex')
