// What an edge adds to the app: the gate that nothing passes while the machine does not verify, the list of models, which
// the VM keeps, and a plain door that is shut: an edge reads no prompts. It serves no OpenAPI document: the app's would
// not be true of it.
import { SealedError } from '@sealed/protocol'
import type { Context, Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { AppEnv, PassedOn } from '../deps.ts'
import { edgeAttestation, RATE_HEADERS } from './headers.ts'
import type { Machine } from './machine.ts'
import { failureOf, type Origin, OriginFailure, readBounded, reading } from './origin.ts'
import { passedOn, taken } from './relay-client.ts'

const MAX_MODELS = 256 * 1024

export function addEdgeRoutes(
  app: Hono<AppEnv>,
  { origin, machine }: { origin: Origin; machine: Machine },
): void {
  for (const path of ['/v1/*', '/log/*']) app.use(path, gate(machine))
  app.get('/v1/models', (c) => models(c, origin))
  app.all('/openapi.json', () => {
    throw new SealedError(
      'request.not_found',
      'the gateway of the machine describes what it serves',
    )
  })
  app.post('/v1/*', (c, next) => {
    if (c.req.path === '/v1/sealed') return next()
    throw shut()
  })
}

/** Before everything that is forwarded; the answer says which attestation it was. */
const gate = (machine: Machine) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const checked = await machine.checked()
    for (const [name, value] of Object.entries(edgeAttestation(checked))) c.header(name, value)
    await next()
  })

const shut = () =>
  new SealedError(
    'request.unsupported',
    'this edge does not read prompts: seal the request (POST /v1/sealed, as the client library and `sealed proxy` do)',
  )

async function models(c: Context<AppEnv>, origin: Origin): Promise<Response> {
  const { signal } = c.req.raw
  return reading(async () => {
    const headers = { ...passedOn(fromOf(c)), accept: 'application/json' }
    const response = await origin.request({ method: 'GET', path: '/v1/models', headers, signal })
    for (const [name, value] of Object.entries(taken(response.headers, RATE_HEADERS)))
      c.header(name, value)
    if (response.status !== 200)
      throw (
        (await failureOf(response, signal)) ??
        new OriginFailure(`something answered ${response.status} for the machine`)
      )
    const body = await readBounded(response, MAX_MODELS, signal)
    c.header('cache-control', 'no-store')
    return c.body(body, 200, { 'content-type': 'application/json' })
  })
}

const fromOf = (c: Context<AppEnv>): PassedOn => {
  const authorization = c.req.header('authorization')
  return { requestId: c.get('requestId'), ...(authorization !== undefined && { authorization }) }
}
