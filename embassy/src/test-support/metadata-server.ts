// Stands where GCE's metadata server does, over real HTTP: answers what it is told to, and keeps what it was asked.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const ROOT = '/computeMetadata/v1/instance'

export interface MetadataServer {
  url: string
  /** Path and `Metadata-Flavor` of each request. */
  readonly asked: { path: string; flavor: string | undefined }[]
  /** What every request is answered by; a test sets it. */
  answer: (request: IncomingMessage, response: ServerResponse) => void
  stop(): Promise<void>
}

export const answering =
  (
    status: number,
    body: string,
    headers: Record<string, string> = { 'metadata-flavor': 'Google' },
  ) =>
  (_: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(status, headers).end(body)

/** An instance with these attributes, a service account whose token this is, and a place for the outcome. */
export const instanceOf =
  (attributes: Record<string, string>, token?: string): MetadataServer['answer'] =>
  (request, response) => {
    const json = (value: unknown) => answering(200, JSON.stringify(value))(request, response)
    if (request.headers['metadata-flavor'] !== 'Google') answering(403, '')(request, response)
    else if (request.url === `${ROOT}/attributes/?recursive=true&alt=json`) json(attributes)
    else if (request.url === `${ROOT}/service-accounts/default/token` && token !== undefined)
      json({ access_token: token, expires_in: 3599, token_type: 'Bearer' })
    else if (request.method === 'PUT' && request.url === `${ROOT}/guest-attributes/sealed/launch`)
      answering(200, '')(request, response)
    else answering(404, '')(request, response)
  }

export async function startMetadataServer(
  answer: MetadataServer['answer'],
): Promise<MetadataServer> {
  const asked: MetadataServer['asked'] = []
  const server = createServer((request, response) => {
    const flavor = request.headers['metadata-flavor']
    asked.push({ path: request.url!, flavor: flavor as string | undefined })
    started.answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const started: MetadataServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answer,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return started
}
