// The workload's image, pulled by its manifest's digest through the container engine. The instance's token goes to
// Google's registries, or to the one that the operator names, and to no other host.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SealedError, splitReference } from '@sealed/protocol'
import Docker from 'dockerode'
import type { Log } from '../log.ts'

export interface Login {
  username: string
  password: string
}

export interface PulledImage {
  /** As the engine names it: `sha256:` and a digest. */
  id: string
  /** REGISTRY/REPOSITORY@sha256:DIGEST, each under which the engine has it. */
  references: readonly string[]
  labels: Readonly<Record<string, string>>
}

export interface ImageStore {
  /** Resolves when the engine has all of it; throws what the engine says otherwise. */
  pull(reference: string, login: Login | undefined, log: Log): Promise<void>
  inspect(reference: string): Promise<PulledImage>
}

/** Artifact Registry and Container Registry. No port: what listens elsewhere on such a host is not they. */
const GOOGLES = /^(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io)$/

/** Whether the instance's token may go where this image comes from. */
export const takesToken = (reference: string, named: string | undefined): boolean => {
  const { registry } = splitReference(reference)
  return GOOGLES.test(registry) || registry === named
}

/** Lets the engine believe the certificates of a private registry; it looks at each pull. */
export async function trustRegistry(
  directory: string,
  registry: string,
  pem: string,
): Promise<void> {
  await mkdir(join(directory, registry), { recursive: true, mode: 0o755 })
  await writeFile(join(directory, registry, 'ca.crt'), pem, { mode: 0o644 })
}

/**
 * Pulls an image; throws `launch.unavailable` where the engine could not, `config.invalid` where it has another one.
 * `token` is asked for only where it may be sent.
 */
export async function pullImage(
  store: ImageStore,
  reference: string,
  token: (() => Promise<string>) | undefined,
  log: Log,
): Promise<{ config: string; labels: Readonly<Record<string, string>> }> {
  const login = token && { username: 'oauth2accesstoken', password: await token() }
  log('pulling', { reference, login: login !== undefined })
  await store.pull(reference, login, log).catch((cause: Error) => {
    throw new SealedError(
      'launch.unavailable',
      `${reference} is not pulled: ${cause.message}${login ? '' : ' (no token was sent: the registry is not Google’s, and sealed-deployment names no other in `registry`)'}`,
      { cause },
    )
  })
  const { id, labels, references } = await store.inspect(reference)
  if (!references.includes(reference))
    throw new SealedError('config.invalid', `the engine has another image than ${reference}`)
  const config = /^sha256:([0-9a-f]{64})$/.exec(id)?.[1]
  // Engines with containerd's image store name an image by its manifest, and what runs is measured by its config.
  if (config === undefined || config === splitReference(reference).manifest)
    throw new SealedError(
      'config.invalid',
      `the engine names ${reference} ${id}, which is not the digest of an image’s config: turn its containerd image store off`,
    )
  log('pulled', { reference, config })
  return { config, labels }
}

export function dockerImages(socketPath = '/var/run/docker.sock'): ImageStore {
  const docker = new Docker({ socketPath })
  return {
    async pull(reference, login, log) {
      const { registry } = splitReference(reference)
      const authconfig = login && { ...login, serveraddress: registry }
      const progress = await docker.pull(reference, authconfig ? { authconfig } : {})
      // What goes wrong in the middle is a line like the others: the stream itself ends well.
      let failure: string | undefined
      await new Promise<void>((resolve, reject) =>
        docker.modem.followProgress(
          progress,
          (broken) => (broken ? reject(broken) : resolve()),
          ({ error, id, status, progressDetail }: Progress) => {
            failure ??= error
            // How far a layer has come is not worth a line each time.
            if (status && !progressDetail?.total) log('pulling', { layer: id, status })
          },
        ),
      )
      if (failure !== undefined) throw new Error(failure)
    },
    async inspect(reference) {
      const { Config, Id, RepoDigests } = await docker.getImage(reference).inspect()
      return { id: Id, references: RepoDigests ?? [], labels: Config?.Labels ?? {} }
    },
  }
}

interface Progress {
  error?: string
  id?: string
  status?: string
  progressDetail?: { total?: number }
}
