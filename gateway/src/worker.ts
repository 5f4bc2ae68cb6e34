// The gateway's door on Cloudflare Workers: an attested proxy in front of one VM. The one place that reads bindings. It
// opens nothing and asks for nothing until a request comes, and keeps no secret.
import { waitUntil } from 'cloudflare:workers'
import { SealedError } from '@sealed/protocol'
import type { Hono } from 'hono'
import type { AppEnv } from './deps.ts'
import { createEdge } from './edge/edge.ts'
import { readSettings } from './edge/settings.ts'
import { errorBody } from './errors.ts'

type Bindings = Readonly<Record<string, unknown>>

/** One for the life of an isolate: bindings do not change within it. */
let edge: Hono<AppEnv> | undefined

export default {
  async fetch(request: Request, env: Bindings, context: unknown): Promise<Response> {
    try {
      edge ??= createEdge(readSettings(env), {
        clock: Date.now,
        fetch: (url, init) => fetch(url, init),
        keep: waitUntil,
        report,
      })
    } catch (error) {
      return misconfigured(error)
    }
    return edge.fetch(request, env, context as Parameters<typeof edge.fetch>[2])
  },
}

/** No message: an unforeseen error may quote a body. */
function report(error: unknown, requestId: string): void {
  const { name, code, stack } = error as { name?: string; code?: string; stack?: string }
  const at = stack?.split('\n').filter((line) => /^\s+at /.test(line))
  console.error(JSON.stringify({ request_id: requestId, name, code, at }))
}

function misconfigured(error: unknown): Response {
  const { message } = error instanceof SealedError ? error : { message: 'see its log' }
  console.error(JSON.stringify({ message: 'this edge is not configured', reason: message }))
  const body = errorBody(503, {
    code: 'config.invalid',
    message: 'this edge is not configured; its log says what is missing',
    param: undefined,
  })
  return Response.json(body, { status: 503, headers: { 'cache-control': 'no-store' } })
}
