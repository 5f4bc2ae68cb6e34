// What the embassy answers the relay: the steps of a session. Only the relay's user can open this socket.
import { abortSchema, commitSchema, openSchema, parseRpc } from '@sealed/protocol'
import { Hono } from 'hono'
import type { Sessions } from '../session/sessions.ts'
import { onError } from './errors.ts'

export function relayApp(sessions: Sessions): Hono {
  const app = new Hono()
  app.onError(onError)
  app.post('/sessions', async (c) => {
    const opened = await sessions.open(parseRpc(openSchema, await c.req.json(), 'open'))
    if (opened.door === 'envelope') return c.json(opened)
    return c.json({ ...opened, revealed: await sessions.reveal(opened.session) })
  })
  app.post('/sessions/:id/reveal', async (c) => c.json(await sessions.reveal(c.req.param('id'))))
  app.post('/sessions/:id/commit', async (c) => {
    const commit = parseRpc(commitSchema, await c.req.json(), 'commit')
    const { receipt } = await sessions.commit(c.req.param('id'), commit)
    return c.json({ receipt })
  })
  app.post('/sessions/:id/abort', async (c) => {
    const closed = await sessions.abort(
      c.req.param('id'),
      parseRpc(abortSchema, await c.req.json(), 'abort'),
    )
    return c.json(closed ? { receipt: closed.receipt } : {})
  })
  return app
}
