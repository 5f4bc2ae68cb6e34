// What the embassy answers the relay: the steps of a session. Only the relay's user can open this socket.
import { abortSchema, commitSchema, openSchema, parseRpc } from '@sealed/protocol'
import { Hono } from 'hono'
import type { Sessions } from '../session/sessions.ts'
import { type Steps, UNMEASURED } from '../steps.ts'
import { onError } from './errors.ts'

/** Sessions whose workload works, as far as they are timed; more than this are not. */
const MAX_TIMED = 4_096

export function relayApp(sessions: Sessions, steps: Steps = UNMEASURED): Hono {
  const working = new Map<string, number>()
  const reveal = async (id: string) => {
    const revealed = await sessions.reveal(id)
    if (revealed.kind === 'replica' && working.size < MAX_TIMED) working.set(id, performance.now())
    return revealed
  }
  /** A session that ends in any other way than by its relay's word is not there to be timed. */
  const worked = (id: string) => {
    const since = working.get(id)
    working.delete(id)
    return since === undefined ? undefined : performance.now() - since
  }
  const app = new Hono()
  app.onError(onError)
  app.post('/sessions', async (c) => {
    const asked = parseRpc(openSchema, await c.req.json(), 'open')
    const opened = await steps.time('admission', () => sessions.open(asked))
    if (opened.door === 'envelope') return c.json(opened)
    return c.json({ ...opened, revealed: await reveal(opened.session) })
  })
  app.post('/sessions/:id/reveal', async (c) => c.json(await reveal(c.req.param('id'))))
  app.post('/sessions/:id/commit', async (c) => {
    const commit = parseRpc(commitSchema, await c.req.json(), 'commit')
    const id = c.req.param('id')
    const ms = worked(id)
    if (ms !== undefined) steps.spent('workload', ms)
    const { receipt } = await sessions.commit(id, commit)
    return c.json({ receipt })
  })
  app.post('/sessions/:id/abort', async (c) => {
    const id = c.req.param('id')
    worked(id)
    const closed = await sessions.abort(id, parseRpc(abortSchema, await c.req.json(), 'abort'))
    return c.json(closed ? { receipt: closed.receipt } : {})
  })
  return app
}
