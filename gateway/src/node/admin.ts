// The operator's port, on loopback alone: Prometheus metrics of this gateway and of its embassy, and health. No request
// of a caller comes through it, and nothing here changes anything.
import type { AddressInfo } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'

const HOST = '127.0.0.1'

export interface AdminDeps {
  port: number
  registry: Registry
  /** The embassy's metrics as it writes them; rejects when it does not answer. */
  embassyMetrics: () => Promise<string>
  /** The gateway's own app, for what it says of its health. */
  health: (request: Request, env: HttpBindings) => Response | Promise<Response>
}

export interface RunningAdmin {
  port: number
  close(): Promise<void>
}

/** Rejects when the port cannot be had. */
export async function startAdmin(deps: AdminDeps): Promise<RunningAdmin> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/metrics', async (c) => {
    const own = await deps.registry.metrics()
    const embassy = await deps.embassyMetrics().catch(() => '')
    const up = `# HELP sealed_embassy_up Whether the embassy answered.\n# TYPE sealed_embassy_up gauge\nsealed_embassy_up ${embassy === '' ? 0 : 1}\n`
    return c.body(`${own}${up}${embassy}`, 200, { 'content-type': deps.registry.contentType })
  })
  for (const path of ['/health/live', '/health/ready'] as const)
    app.get(path, (c) => deps.health(c.req.raw, c.env))
  const server = createAdaptorServer({ fetch: app.fetch, hostname: 'localhost' })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(deps.port, HOST, () => resolve())
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}
