// What an SDK asks of `fetch`, read into what can be sealed. Whatever is neither one of OpenAI's calls for a workload nor
// the list of models is refused: nothing goes out in clear because it was not understood.
import { type Bytes, fromUtf8, MAX_ENVELOPE_BYTES, SealedError } from '@sealed/protocol'

export interface SealedCall {
  kind: 'sealed'
  endpoint: string
  /** Exactly what the workload gets. */
  body: Bytes
  stream: boolean
  model: string | undefined
  apiKey: string | undefined
  /** How often the SDK says that it has sent this before. */
  retries: number
  signal: AbortSignal | undefined
}

export interface ModelsCall {
  kind: 'models'
  path: string
  apiKey: string | undefined
  signal: AbortSignal | undefined
}

export const SEALED_PATHS: readonly string[] = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
]

/** Base64 and the other parts of an envelope need a third more, and some. */
const MAX_BODY_BYTES = Math.floor(MAX_ENVELOPE_BYTES * 0.7)

/** Throws `request.*` or `endpoint.unknown` for what is not served here; `base` has no slash at its end. */
export async function readCall(
  base: string,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<SealedCall | ModelsCall> {
  const request = typeof input === 'string' || input instanceof URL ? undefined : input
  const path = pathOf(base, String(request ? request.url : input))
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase()
  const headers = new Headers(init.headers ?? request?.headers)
  const signal = init.signal ?? request?.signal ?? undefined
  const apiKey = /^Bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1]
  if (path === '/v1/models' || /^\/v1\/models\/[A-Za-z0-9._:-]{1,128}$/.test(path)) {
    if (method !== 'GET') throw wrongMethod(path, 'GET')
    return { kind: 'models', path, apiKey, signal }
  }
  if (!SEALED_PATHS.includes(path))
    throw new SealedError(
      'endpoint.unknown',
      `${path.slice(0, 128)} cannot be sealed, and nothing is sent in clear; there is ${SEALED_PATHS.join(', ')}, and GET /v1/models`,
    )
  if (method !== 'POST') throw wrongMethod(path, 'POST')
  if (headers.has('content-encoding'))
    throw new SealedError('request.unsupported', 'a compressed body cannot be sealed', {
      param: 'content-encoding',
    })
  const body = await readBody(request, init)
  const said = readJson(body)
  return {
    kind: 'sealed',
    endpoint: path,
    body,
    stream: said.stream === true,
    model: typeof said.model === 'string' ? said.model : undefined,
    apiKey,
    retries: Number(headers.get('x-stainless-retry-count')) || 0,
    signal,
  }
}

function pathOf(base: string, target: string): string {
  const url = URL.canParse(target) ? new URL(target) : undefined
  if (!url?.href.startsWith(`${base}/`))
    throw new SealedError(
      'request.invalid',
      `this fetch speaks to ${base} alone; set the SDK’s baseURL to ${base}/v1`,
      { param: 'url' },
    )
  if (url.search || url.hash)
    throw new SealedError('request.unsupported', 'a query cannot be sealed', { param: 'url' })
  return url.href.slice(base.length)
}

const wrongMethod = (path: string, method: string) =>
  new SealedError('request.method', `${path} is asked with ${method}`)

async function readBody(request: Request | undefined, init: RequestInit): Promise<Bytes> {
  const source = init.body === undefined || init.body === null ? request : new Response(init.body)
  const body = new Uint8Array(source ? await source.arrayBuffer() : new ArrayBuffer(0))
  if (body.length <= MAX_BODY_BYTES) return body
  throw new SealedError(
    'request.too_large',
    `the body has ${body.length} bytes; ${MAX_BODY_BYTES} fit into an envelope`,
  )
}

function readJson(body: Bytes): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(fromUtf8(body))
  } catch {
    throw new SealedError('request.invalid', 'the body is not JSON in UTF-8')
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>
  throw new SealedError('request.invalid', 'the body must be a JSON object')
}
