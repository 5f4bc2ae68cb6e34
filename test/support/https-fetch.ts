// `fetch` over TLS on a connection of its own, for a gateway whose certificate no public authority vouches for.
import type { X509Certificate } from 'node:crypto'
import { type RequestOptions, request } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { Fetch } from '@sealed/client'

/** `met` is the certificate that the last answer came under. */
export function httpsFetch(trust: Pick<RequestOptions, 'ca' | 'rejectUnauthorized'>): {
  fetch: Fetch
  met: () => X509Certificate
} {
  let peer: X509Certificate | undefined
  const fetch: Fetch = (url, init) =>
    new Promise((resolve, reject) => {
      const headers = Object.fromEntries(new Headers(init.headers))
      const outgoing = request(url, {
        method: init.method ?? 'GET',
        headers,
        agent: false,
        ...trust,
      })
      outgoing.once('error', reject)
      outgoing.once('response', async (incoming) => {
        peer = (incoming.socket as TLSSocket).getPeerX509Certificate()
        const chunks: Buffer[] = []
        for await (const chunk of incoming) chunks.push(chunk as Buffer)
        const { statusCode: status = 0, headers: received } = incoming
        resolve(
          new Response(Buffer.concat(chunks), {
            status,
            headers: received as Record<string, string>,
          }),
        )
      })
      outgoing.end(init.body)
    })
  return { fetch, met: () => peer! }
}
