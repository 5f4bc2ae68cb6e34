// Gives every request an id that is on its answer and in the log. A caller's own id is taken when it is harmless.
import { createMiddleware } from 'hono/factory'
import type { AppEnv } from '../deps.ts'

const HARMLESS = /^[A-Za-z0-9._-]{1,64}$/

export const requestId = createMiddleware<AppEnv>(async (c, next) => {
  const given = c.req.header('x-request-id')
  const id = given !== undefined && HARMLESS.test(given) ? given : crypto.randomUUID()
  c.set('requestId', id)
  c.header('x-request-id', id)
  c.header('x-content-type-options', 'nosniff')
  await next()
})
