// Where one replica's workload reaches the embassy, on its own link and nowhere else: to ask for the key of a session that
// it works on, and to commit to what it answers. Whoever speaks here is hostile until shown otherwise: few connections,
// little to say, a short time to say it, and after too many refusals nobody listens any more.
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { parseRpc, parseStrict, unsealSchema } from '@sealed/protocol'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { ReplicaLink } from '../seal/index.ts'
import type { Sessions } from '../session/sessions.ts'
import { onError as answerError } from './errors.ts'
import type { Listening } from './listen.ts'

const MAX_BODY_BYTES = 1_024
const MAX_CONNECTIONS = 64
const MAX_HEADER_BYTES = 4_096
const MAX_REFUSALS = 256
const REQUEST_MS = 5_000

type Asked = Pick<Sessions, 'revealToWorkload' | 'unseal'>

/** Listens on the host's end of a link. */
export async function listenForWorkload(link: ReplicaLink, sessions: Asked): Promise<Listening> {
  const { embassyPort: port, hostAddress4: hostname } = link
  let refusals = 0
  const app = new Hono()
  const onError = (c: Context) => refuse(c.text('too much', 413))
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError }))
  app.notFound((c) => refuse(c.text('no such path', 404)))
  app.onError(async (error, c) => refuse(await answerError(error, c)))
  app.post('/v1/sessions/:id/reveal', (c) => {
    const key = sessions.revealToWorkload(link, c.req.param('id'))
    // As Fernet libraries take it: base64url with padding.
    return c.json({ key: `${Buffer.from(key).toString('base64url')}=` })
  })
  app.post('/v1/sessions/:id/unseal', async (c) => {
    const { output_sha256 } = parseRpc(unsealSchema, parseStrict(await c.req.text()), 'unseal')
    sessions.unseal(link, c.req.param('id'), output_sha256)
    return c.json({}, 202)
  })
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      headersTimeout: REQUEST_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: REQUEST_MS,
    },
  }) as Server
  server.maxConnections = MAX_CONNECTIONS
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  function refuse(response: Response): Response {
    refusals += 1
    if (refusals >= MAX_REFUSALS) void close()
    return response
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, hostname, () => resolve())
  })
  return { close }
}
