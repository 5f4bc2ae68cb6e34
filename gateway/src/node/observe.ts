// What an operator sees of a gateway: a JSON line for each request and Prometheus metrics. Both hold routes, codes, names
// of keys, sizes and times; labels come from fixed sets, so that nobody outside can make more of them.
import { pino } from 'pino'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { RequestRecord } from '../deps.ts'

/** Seconds; sessions last from milliseconds (a refusal) to minutes (a long stream). */
const BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
]

/** How often the event loop's delay is looked at: each look wakes the process. */
const LOOP_MS = 100

/** How long the line of a request may wait for others. */
const LINES_MS = 200

export interface Observer {
  registry: Registry
  record(request: RequestRecord): void
  /** A failure that nobody foresaw: its name and place, never its message, which may quote a body. */
  report(error: unknown, requestId: string): void
  info(message: string, fields: Record<string, unknown>): void
  warn(message: string, fields: Record<string, unknown>): void
  /** Writes what waits to be written. */
  flush(): void
}

/** `inFlight` is read when metrics are; `descriptor` is the file that lines go to. */
export function observer(inFlight: () => number, descriptor = 2): Observer {
  const registry = new Registry()
  const requests = new Counter({
    name: 'sealed_gateway_requests_total',
    help: 'Answers by route and status.',
    labelNames: ['route', 'status'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'sealed_gateway_request_seconds',
    help: 'From the request to the last byte of its answer.',
    labelNames: ['route'],
    buckets: BUCKETS,
    registers: [registry],
  })
  const errors = new Counter({
    name: 'sealed_gateway_errors_total',
    help: 'Errors by code.',
    labelNames: ['code'],
    registers: [registry],
  })
  const cut = new Counter({
    name: 'sealed_gateway_cut_total',
    help: 'Answers whose connection ended before they did.',
    registers: [registry],
  })
  const bytes = new Counter({
    name: 'sealed_gateway_body_bytes_total',
    help: 'Bytes of requests’ and answers’ bodies.',
    labelNames: ['direction'],
    registers: [registry],
  })
  new Gauge({
    name: 'sealed_gateway_requests_in_flight',
    help: 'Requests that hold a slot.',
    registers: [registry],
    collect() {
      this.set(inFlight())
    },
  })
  collectDefaultMetrics({
    register: registry,
    prefix: 'sealed_gateway_',
    eventLoopMonitoringPrecision: LOOP_MS,
  })
  const destination = pino.destination({
    fd: descriptor,
    sync: false,
    // Lines of a moment are written together: each write wakes another thread.
    minLength: 4_096,
    periodicFlush: LINES_MS,
  })
  const log = pino(
    {
      base: { process: 'gateway' },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination,
  )
  return {
    registry,
    record(request) {
      const { route, status, code, ms } = request
      requests.inc({ route, status })
      seconds.observe({ route }, ms / 1_000)
      if (code !== undefined) errors.inc({ code })
      if (!request.isWhole) cut.inc()
      bytes.inc({ direction: 'in' }, request.bytesIn)
      bytes.inc({ direction: 'out' }, request.bytesOut)
      // Asked for every few seconds by whoever watches; the metrics count them.
      if (!route.startsWith('/health')) log.info(lineOf(request), 'request')
    },
    report(error, requestId) {
      const { name, code, stack } = error as { name?: string; code?: string; stack?: string }
      const at = stack?.split('\n').filter((line) => /^\s+at /.test(line))
      log.error({ request_id: requestId, name, code, at }, 'unforeseen failure')
      destination.flush()
    },
    info(message, fields) {
      log.info(fields, message)
      destination.flush()
    },
    warn(message, fields) {
      log.warn(fields, message)
      destination.flush()
    },
    flush: () => destination.flushSync(),
  }
}

const lineOf = (request: RequestRecord) => ({
  request_id: request.requestId,
  trace_id: request.traceId,
  parent_id: request.parentId,
  method: request.method,
  route: request.route,
  status: request.status,
  code: request.code,
  caller: request.caller,
  session: request.session,
  bytes_in: request.bytesIn,
  bytes_out: request.bytesOut,
  ms: Math.round(request.ms * 1_000) / 1_000,
  cut: request.isWhole ? undefined : true,
})
