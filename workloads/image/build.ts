// `node build.ts NAME --out FILE [--busybox FILE]`: builds an image archive, unless the one there was made of the same inputs, and
// prints the image id.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type ImageSpec, writeDockerArchive } from './docker-archive.ts'
import { IMAGE_NAMES, type ImageName, imageSpec } from './images.ts'

/** Digest of all that an image is made of. */
function inputsOf({ entries, ...rest }: ImageSpec): string {
  const hash = createHash('sha256').update(JSON.stringify(rest))
  for (const { path, mode, type, content } of entries) {
    hash.update(JSON.stringify([path, mode, type, content.length]))
    hash.update(content)
  }
  return hash.digest('hex')
}

/** Builds the image into `out` if need be; returns its id in hex. */
export async function buildImage(name: ImageName, out: string, busybox?: string): Promise<string> {
  const spec = imageSpec(name, busybox)
  const inputs = inputsOf(spec)
  const noted = `${out}.built.json`
  if (existsSync(out) && existsSync(noted)) {
    const made = JSON.parse(readFileSync(noted, 'utf8')) as { inputs: string; id: string }
    if (made.inputs === inputs) return made.id
  }
  const id = await writeDockerArchive(spec, out)
  const part = `${noted}.${process.pid}.part`
  writeFileSync(part, JSON.stringify({ id, inputs }))
  renameSync(part, noted)
  return id
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { busybox: { type: 'string' }, out: { type: 'string' } },
  })
  const name = IMAGE_NAMES.find((known) => known === positionals[0])
  if (!name || !values.out) {
    process.stderr.write(`usage: build.ts ${IMAGE_NAMES.join('|')} --out FILE [--busybox FILE]\n`)
    process.exit(2)
  }
  process.stdout.write(`sha256:${await buildImage(name, values.out, values.busybox)}\n`)
}
