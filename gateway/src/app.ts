// The gateway's app: Web APIs only, so that the same one runs in every runtime. It meets what strangers send, and
// nothing that it holds could open an envelope or an answer.
import { SealedError } from '@sealed/protocol'
import { Hono } from 'hono'
import type { AppEnv, Deps } from './deps.ts'
import { answerError } from './errors.ts'
import { apiKey } from './middleware/api-key.ts'
import { cors } from './middleware/cors.ts'
import { Rates, rate } from './middleware/rate.ts'
import { record } from './middleware/record.ts'
import { requestId } from './middleware/request-id.ts'
import { Slots, slot } from './middleware/slots.ts'
import { attestation } from './routes/attestation.ts'
import { completions } from './routes/completions.ts'
import { health } from './routes/health.ts'
import { log } from './routes/log.ts'
import { models } from './routes/models.ts'
import { openapi } from './routes/openapi.ts'
import { receipts } from './routes/receipts.ts'
import { sealed } from './routes/sealed.ts'
import { status as overview } from './routes/status.ts'
import { StatusCache } from './workloads.ts'

/** Where OpenAI's clients ask; what a workload serves of it is in its file. */
const PLAIN_ENDPOINTS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
] as const

/** Builds the app on the given surroundings; it starts nothing and opens nothing by itself. */
export function createApp(deps: Deps): Hono<AppEnv> {
  const clock = deps.clock ?? Date.now
  const status = new StatusCache(deps.embassy, clock)
  const bounded = slot(deps.slots ?? new Slots(deps.limits))
  const keyed = apiKey(deps.apiKeys)
  const rated = rate(new Rates(clock), deps.limits.requestsPerMinute)
  const app = new Hono<AppEnv>()
  app.use(record(deps), requestId, cors(deps.corsOrigins ?? []))
  for (const path of ['/v1/sealed', '/v1/models', ...PLAIN_ENDPOINTS])
    app.use(path, keyed, rated, bounded)
  for (const path of ['/v1/attestation/*', '/v1/receipts/*', '/v1/status', '/log/*'])
    app.use(path, bounded)
  deps.own?.(app)
  app.route('/v1/sealed', sealed(deps, clock))
  for (const path of PLAIN_ENDPOINTS) app.route(path, completions(deps, status, path))
  app.route('/v1/models', models(status))
  app.route('/v1/attestation', attestation(deps.embassy))
  app.route('/v1/receipts', receipts(deps.embassy))
  app.route('/v1/status', overview(deps.embassy))
  app.route('/log', log(deps.embassy))
  app.route('/health', health(status, deps.certificate))
  app.route('/openapi.json', openapi())
  app.notFound((c) =>
    answerError(
      c,
      new SealedError(
        'request.not_found',
        'nothing is served at this path; the base URL ends in /v1',
      ),
    ),
  )
  app.onError((error, c) => {
    if (c.req.raw.signal?.aborted) return c.body(null, 400)
    if (!(error instanceof SealedError)) deps.report?.(error, c.get('requestId'))
    return answerError(c, error)
  })
  return app
}
