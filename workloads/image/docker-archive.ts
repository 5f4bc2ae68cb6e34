// Writes a docker archive for `docker load`, without a daemon and the same every time: the image's identity, the
// SHA-256 of its config, is known before any engine sees it.
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Entry, tar } from './tar.ts'

export interface ImageSpec {
  /** Name and tag that the engine shows. */
  name: string
  entries: readonly Entry[]
  /** What the command's words are given to; without it the first of them is the program. */
  entrypoint?: readonly string[]
  command: readonly string[]
  env: Readonly<Record<string, string>>
  user: string
  labels?: Readonly<Record<string, string>>
}

/** What an image is made of: its config, of whose bytes its id is the digest, and its one layer as a tar archive. */
export interface ImageParts {
  config: Uint8Array
  /** SHA-256, hex, of the config: the image's id. */
  id: string
  layer: readonly Uint8Array[]
  layerDigest: string
  layerSize: number
}

/** The image's config: what its id is the digest of. */
function configOf(spec: ImageSpec, diffId: string): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      config: {
        ...(spec.entrypoint && { Entrypoint: spec.entrypoint }),
        Cmd: spec.command,
        Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
        User: spec.user,
        ...(spec.labels && { Labels: spec.labels }),
        WorkingDir: '/',
      },
      created: '1970-01-01T00:00:00Z',
      history: [],
      os: 'linux',
      rootfs: { diff_ids: [`sha256:${diffId}`], type: 'layers' },
    }),
  )
}

export function imageParts(spec: ImageSpec): ImageParts {
  const layer = [...tar(spec.entries)]
  const layerHash = createHash('sha256')
  let layerSize = 0
  for (const chunk of layer) {
    layerHash.update(chunk)
    layerSize += chunk.length
  }
  const layerDigest = layerHash.digest('hex')
  const config = configOf(spec, layerDigest)
  const id = createHash('sha256').update(config).digest('hex')
  return { config, id, layer, layerDigest, layerSize }
}

/** Writes the archive to `path`, whole or not at all, and returns the image id in hex. */
export async function writeDockerArchive(spec: ImageSpec, path: string): Promise<string> {
  const { config, id, layer, layerSize } = imageParts(spec)
  const manifest = Buffer.from(
    JSON.stringify([{ Config: `${id}.json`, Layers: ['layer.tar'], RepoTags: [spec.name] }]),
  )
  const file = (name: string, content: Uint8Array): Entry => ({
    path: name,
    mode: 0o644,
    type: 'file',
    content,
  })
  const [layerHeader] = tar([file('layer.tar', { length: layerSize } as Uint8Array)])
  const part = `${path}.${process.pid}.part`
  try {
    await pipeline(
      Readable.from(
        (function* () {
          yield layerHeader!
          yield* layer
          yield* tar([file(`${id}.json`, config), file('manifest.json', manifest)])
        })(),
      ),
      createWriteStream(part),
    )
    await rename(part, path)
  } finally {
    await rm(part, { force: true })
  }
  return id
}
