// A container registry that holds one image: over HTTP, which the engine takes from 127.0.0.0/8, or over HTTPS. It may ask
// for a login, and keeps every Authorization that it was sent.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import Docker from 'dockerode'
import { type ImageSpec, imageParts } from '../../workloads/image/docker-archive.ts'

const OCI = 'application/vnd.oci.image'
const TICKET = 'a-ticket-of-this-registry'

export interface RegistryOptions {
  image: ImageSpec
  /** Without which nothing is given out. */
  login?: { username: string; password: string }
  /** PEM; it listens at the address then that the certificate is for. */
  tls?: { key: string; cert: string; address: string }
}

export interface Registry {
  /** host:port */
  host: string
  /** REGISTRY/REPOSITORY@sha256:DIGEST of its image. */
  reference: string
  /** Config digest of its image. */
  config: string
  /** Path of each request, and its Authorization. */
  readonly seen: { path: string; authorization: string | undefined }[]
  /** Another manifest's bytes, served under the digest of the true one. */
  lie: Uint8Array | undefined
  /** Stops it, and removes the image from the engine. */
  stop(): Promise<void>
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

export async function startRegistry({ image, login, tls }: RegistryOptions): Promise<Registry> {
  const { config, id, layer, layerDigest, layerSize } = imageParts(image)
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: {
        mediaType: `${OCI}.config.v1+json`,
        digest: `sha256:${id}`,
        size: config.length,
      },
      layers: [
        {
          mediaType: `${OCI}.layer.v1.tar`,
          digest: `sha256:${layerDigest}`,
          size: layerSize,
        },
      ],
    }),
  )
  const seen: Registry['seen'] = []
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url!, `http://${registry.host}`)
    const { authorization } = request.headers
    seen.push({ path: url.pathname, authorization })
    const send = (type: string, size: number, chunks: readonly Uint8Array[]) => {
      response.writeHead(200, { 'content-type': type, 'content-length': size })
      if (request.method !== 'HEAD') for (const chunk of chunks) response.write(chunk)
      response.end()
    }
    const give = (type: string, bytes: Uint8Array) => send(type, bytes.length, [bytes])
    const refuse = (status: number, headers = {}) => void response.writeHead(status, headers).end()
    const basic = login && Buffer.from(`${login.username}:${login.password}`).toString('base64')
    if (url.pathname === '/token') {
      if (authorization !== `Basic ${basic}`) refuse(401)
      else give('application/json', Buffer.from(JSON.stringify({ token: TICKET })))
    } else if (login && authorization !== `Bearer ${TICKET}`) {
      const realm = `${tls ? 'https' : 'http'}://${registry.host}/token`
      refuse(401, { 'www-authenticate': `Bearer realm="${realm}",service="test"` })
    } else if (url.pathname === '/v2/') give('application/json', Buffer.from('{}'))
    else if (url.pathname === `/v2/models/demo/manifests/sha256:${sha256(manifest)}`)
      give(`${OCI}.manifest.v1+json`, registry.lie ?? manifest)
    else if (url.pathname.endsWith(`/blobs/sha256:${id}`)) give('application/octet-stream', config)
    else if (url.pathname.endsWith(`/blobs/sha256:${layerDigest}`))
      send('application/octet-stream', layerSize, layer)
    else refuse(404)
  }
  const server = tls ? createTlsServer(tls, answer) : createServer(answer)
  const address = tls?.address ?? '127.0.0.1'
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const host = `${address}:${(server.address() as AddressInfo).port}`
  const reference = `${host}/models/demo@sha256:${sha256(manifest)}`
  const registry: Registry = {
    host,
    reference,
    config: id,
    seen,
    lie: undefined,
    async stop() {
      const docker = new Docker({ socketPath: '/var/run/docker.sock' })
      await docker
        .getImage(reference)
        .remove()
        .catch(() => {})
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
  return registry
}
