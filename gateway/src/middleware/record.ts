// One record of each request, for log and metrics, made when its answer has left or broken off. Nothing of a request's
// or an answer's contents is in it: no path as asked, no query, no header but its ids.
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { matchedRoutes } from 'hono/route'
import type { AppEnv, Deps, RequestRecord, Sent } from '../deps.ts'
import { parseTraceparent } from '../trace.ts'

/** The outermost middleware. */
export const record = ({ record, whenSent = atOnce }: Deps) =>
  createMiddleware<AppEnv>(async (c, next) => {
    if (!record) return next()
    const begun = performance.now()
    await next()
    const { method } = c.req
    const caller = c.get('caller')
    const code = c.get('code')
    const trace = parseTraceparent(c.req.header('traceparent'))
    const about = {
      requestId: c.get('requestId'),
      ...trace,
      method,
      route: routeOf(c),
      ...(caller !== undefined && { caller }),
      ...(code !== undefined && { code }),
      bytesIn: c.get('bodyBytes') ?? 0,
    }
    whenSent(c, (sent) => {
      const made: RequestRecord = { ...about, ...sent, ms: performance.now() - begun }
      record(made)
    })
  })

/** The pattern of the route that answered, one of a fixed set. */
function routeOf(c: Context): string {
  const path = matchedRoutes(c).at(-1)?.path ?? '/*'
  return path === '/*' ? 'none' : path
}

/** Where a runtime does not say when an answer has left: what is known of it before. */
const atOnce = (c: Context, done: (sent: Sent) => void): void => {
  const { headers, status } = c.res
  const session = headers.get('sealed-receipt-id') ?? undefined
  const bytesOut = Number(headers.get('content-length') ?? 0)
  done({ status, bytesOut, isWhole: true, ...(session !== undefined && { session }) })
}
