// The relay's socket, which only the gateway opens: `/sealed` and `/plain`.
import { RELAY_PATHS, RPC_ERROR_TYPE, RPC_HEADERS, SealedError, toRpcError } from '@sealed/protocol'
import { Hono } from 'hono'
import { plainDoor } from './plain-door.ts'
import type { SessionDeps } from './run-session.ts'
import { sealedDoor } from './sealed-door.ts'

export function relayDoors(deps: SessionDeps): Hono {
  const app = new Hono()
  app.onError((error, c) => {
    const status = error instanceof SealedError && error.remedy === 'request' ? 400 : 503
    if (!(error instanceof SealedError)) console.error(error)
    return c.json(toRpcError(error), status, { 'content-type': RPC_ERROR_TYPE })
  })
  app.post(RELAY_PATHS.sealed, async (c) => {
    const caller = c.req.header(RPC_HEADERS.caller) ?? ''
    return sealedDoor(deps, caller, new Uint8Array(await c.req.arrayBuffer()), c.req.raw.signal)
  })
  app.post(RELAY_PATHS.plain, async (c) => {
    const request = {
      caller: c.req.header(RPC_HEADERS.caller) ?? '',
      workload: c.req.header(RPC_HEADERS.workload) ?? '',
      endpoint: c.req.header(RPC_HEADERS.endpoint) ?? '',
      nonce: c.req.header(RPC_HEADERS.nonce),
      contentType: c.req.header('content-type') ?? 'application/json',
      stream: c.req.header(RPC_HEADERS.stream) === 'true',
      body: new Uint8Array(await c.req.arrayBuffer()),
    }
    return plainDoor(deps, request, c.req.raw.signal)
  })
  return app
}
