// Builds the images of an instance, without any registry: archives for `docker load`, named by what went into them.
import { join } from 'node:path'
import { run } from '../world/run.ts'
import { REPOSITORY } from './paths.ts'

export type ImageName = 'reference' | 'noop' | 'hostile' | 'pause'

export interface Image {
  archive: string
  /** Image config digest, hex. */
  id: string
}

/** Builds, or finds, one image; takes seconds the first time and next to nothing later. */
export async function buildImage(name: ImageName, directory: string): Promise<Image> {
  const archive = join(directory, `${name}.tar`)
  const script = join(REPOSITORY, 'workloads', 'image', 'build.ts')
  const stdout = await run(process.execPath, [script, name, '--out', archive])
  const id = /^(?:sha256:)?([0-9a-f]{64})$/m.exec(stdout)?.[1]
  if (!id) throw new Error(`building image ${name} printed no image id:\n${stdout}`)
  return { archive, id }
}
