// The log as the gateway passes it on: checkpoints and tiles of any log that is kept, by the hex digits of its origin or
// as `current`. Entry bundles are not here, because leaves name sessions.
import { parseTilePath, SealedError } from '@sealed/protocol'
import { Hono } from 'hono'
import type { Store } from '../store/store.ts'

export interface LogRoutesDeps {
  store: Pick<Store, 'runLazy'>
  /** Origin of this boot's log. */
  origin: string
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8' }

export function logRoutes({ origin: current, store }: LogRoutesDeps): Hono {
  const app = new Hono()
  const originOf = (id: string) => (id === 'current' ? current : `sealed/${id}`)
  app.get('/:log/checkpoint', async (c) => {
    const note = await store.runLazy('checkpoint', originOf(c.req.param('log')))
    return c.body(note ?? missing('checkpoint'), 200, PLAIN)
  })
  app.get('/:log/boot', async (c) => {
    const leaf = await store.runLazy('bootLeaf', originOf(c.req.param('log')))
    return c.body(leaf ?? missing('boot leaf'), 200, { 'content-type': 'application/json' })
  })
  app.get('/:log/tile/*', async (c) => {
    const log = c.req.param('log')
    const tile = parseTilePath(c.req.path.slice(c.req.path.indexOf(`/${log}/`) + log.length + 2))
    const bytes = tile && (await store.runLazy('tile', { origin: originOf(log), tile }))
    const body = (bytes ?? missing('tile')) as Uint8Array<ArrayBuffer>
    return c.body(body, 200, { 'content-type': 'application/octet-stream' })
  })
  return app
}

function missing(what: string): never {
  throw new SealedError('request.not_found', `no such ${what} in the logs of this machine`)
}
