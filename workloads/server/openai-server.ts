// The HTTP surface that all workloads here share: OpenAI's paths over node:http, one request at a time unless a workload
// wants them as they come, bounded, with OpenAI-shaped errors. What an answer says is the workload's own business.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { reachReport, tryWhileIdle } from './reach.ts'
import { takePart } from './take-part.ts'

const MAX_BODY_BYTES = 4 * 1024 * 1024

export class RequestError extends Error {
  readonly status: number
  readonly code: string
  readonly param: string | null

  constructor(status: number, code: string, message: string, param: string | null = null) {
    super(message)
    this.status = status
    this.code = code
    this.param = param
  }
}

export interface Call {
  /** `/v1/chat/completions`; else `/v1/completions`. */
  chat: boolean
  body: Record<string, unknown>
  /** Drawn anew where the caller has none: the answer's id ends in it, and the file of its activations is named after that. */
  requestId: string
  /** Aborted when the client leaves. */
  signal: AbortSignal
  response: ServerResponse
}

export interface Workload {
  model: string
  /** Requests are handled beside each other. */
  abreast?: boolean
  /** Handles `POST /v1/chat/completions` and `/v1/completions`; writes the whole answer. */
  complete(call: Call): Promise<void>
}

/** Serves a workload; the caller listens and closes. */
export function openAiServer(workload: Workload): Server {
  let turn: Promise<void> = Promise.resolve()
  let waiting = 0
  tryWhileIdle(() => waiting > 0)
  return createServer((request, response) => {
    const left = new AbortController()
    response.once('close', () => left.abort())
    answer(workload, request, response, left.signal, (work) => {
      waiting += 1
      const mine = (workload.abreast ? work() : turn.then(work)).finally(() => {
        waiting -= 1
      })
      turn = mine.catch(() => undefined)
      return mine
    }).catch((error: unknown) => fail(response, error))
  })
}

async function answer(
  { model, complete }: Workload,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
  inTurn: (work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const path = request.url?.split('?', 1)[0] ?? '/'
  const route = `${request.method} ${path}`
  if (route === 'GET /health') return json(response, 200, { status: 'ok' })
  if (route === 'GET /v1/models')
    return json(response, 200, {
      object: 'list',
      data: [{ id: model, object: 'model', created: 0, owned_by: 'sealed' }],
    })
  if (route === 'GET /reach') return json(response, 200, await reachReport())
  if (route !== 'POST /v1/chat/completions' && route !== 'POST /v1/completions')
    throw new RequestError(404, 'not_found', `no ${route} here`)
  const body = await readBody(request, response)
  if (body.model !== undefined && body.model !== model)
    throw new RequestError(404, 'model_not_found', `this workload serves ${model}`, 'model')
  const chat = path === '/v1/chat/completions'
  const requestId = requestIdOf(request)
  await inTurn(async () => {
    if (!signal.aborted) await complete({ chat, body, requestId, signal, response })
  })
}

/** As the caller names it in `x-request-id`, where that can stand in a file's name. */
function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : randomUUID()
}

async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES)
      throw new RequestError(413, 'request_too_large', `body over ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  const plaintext = await takePart(request, response, Buffer.concat(chunks))
  let body: unknown
  try {
    body = JSON.parse(plaintext.toString('utf8'))
  } catch {
    throw new RequestError(400, 'invalid_json', 'the body is not JSON')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new RequestError(400, 'invalid_json', 'the body is no object')
  return body as Record<string, unknown>
}

export function json(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    // What is left of a refused body is not read: the connection ends with the answer.
    ...(!response.req.complete && { connection: 'close' }),
  })
  response.end(body)
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const known = error instanceof RequestError
  if (!known) process.stderr.write(`${String((error as Error).stack)}\n`)
  const { status, code, message, param } = known
    ? error
    : new RequestError(500, 'internal_error', 'the workload failed')
  json(response, status, {
    error: { message, type: status < 500 ? 'invalid_request_error' : 'server_error', code, param },
  })
}

/** Listens where `HOST` and `PORT` say, prints the port, and stops on SIGTERM. */
export function serve(server: Server): void {
  server.listen(Number(process.env.PORT ?? 8000), process.env.HOST ?? '127.0.0.1', () => {
    process.stdout.write(`listening on port ${(server.address() as AddressInfo).port}\n`)
  })
  process.once('SIGTERM', () => {
    server.close()
    server.closeAllConnections()
  })
}
