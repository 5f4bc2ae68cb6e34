// Puts the edge together: the gateway's own app in front of one VM. It holds no key at all: API keys are judged, counted
// and limited by the VM, and envelopes and answers pass unread.
import type { Hono } from 'hono'
import { createApp } from '../app.ts'
import type { AppEnv, Deps } from '../deps.ts'
import { embassyClient } from './embassy-client.ts'
import { Machine, type Surroundings } from './machine.ts'
import { type Fetch, Origin } from './origin.ts'
import { relayClient } from './relay-client.ts'
import { addEdgeRoutes } from './routes.ts'
import type { EdgeSettings } from './settings.ts'

/**
 * The VM bounds what is under way. A bound here would be used up for good: a runtime that ends a request whose client has
 * gone runs none of its code any more, and its place would never be given back.
 */
const UNBOUNDED = Number.POSITIVE_INFINITY

/** Does no I/O by itself; the machine is looked at when the first request comes. */
export function createEdge(
  settings: EdgeSettings,
  surroundings: Surroundings & { fetch: Fetch; report?: NonNullable<Deps['report']> },
): Hono<AppEnv> {
  const origin = new Origin(settings.origin, surroundings.fetch)
  const machine = new Machine(origin, settings.policy, surroundings)
  return createApp({
    embassy: embassyClient(origin, machine, surroundings),
    relay: relayClient(origin, machine),
    limits: {
      bodyBytes: UNBOUNDED,
      callerRequests: UNBOUNDED,
      totalRequests: UNBOUNDED,
      requestsPerMinute: UNBOUNDED,
    },
    corsOrigins: settings.corsOrigins,
    clock: surroundings.clock,
    own: (app) => addEdgeRoutes(app, { origin, machine }),
    ...(surroundings.report && { report: surroundings.report }),
  })
}
