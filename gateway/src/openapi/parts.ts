// What the operations of the OpenAPI document share: headers, schemas, and errors, whose statuses are those that the
// gateway answers with.
import { CODES, type Code } from '@sealed/protocol'
import { AFTER_REVEAL, statusOfCode } from '../errors.ts'

/** JSON of the document; only its writers look inside. */
export type Part = { [name: string]: unknown }

const text = (description: string, schema: Part = {}): Part => ({
  description,
  schema: { type: 'string', ...schema },
})
const BASE64URL = { pattern: '^[A-Za-z0-9_-]+$' }
const ID = { pattern: '^[0-9a-f]{32}$' }

/** By name; every answer has the first. */
export const HEADERS = {
  'x-request-id': text(
    'The caller’s own where it is 1 to 64 of A–Z a–z 0–9 . _ -, else one that was made.',
  ),
  'x-ratelimit-limit-requests': text('Requests of this API key in a minute.'),
  'x-ratelimit-remaining-requests': text('How many of them may follow at once.'),
  'x-ratelimit-reset-requests': text('Until all may follow at once again, as in 1m30s or 250ms.'),
  'retry-after': text('Seconds after which the request may be sent again.', {
    pattern: '^[0-9]+$',
  }),
  'x-should-retry': text('SDKs do not send the request again.', { const: 'false' }),
  'sealed-receipt-id': text('The session, and its receipt at /v1/receipts/{id}.', ID),
  'sealed-salt': text(
    'base64url of the session’s salt, with which digests in the receipt are made.',
    {
      pattern: '^[A-Za-z0-9_-]{43}$',
    },
  ),
  'sealed-nonce': text('The nonce that was sent; it stands in the receipt.', BASE64URL),
  'sealed-workload-status': text(
    'The workload’s own status, where SDKs would send the request again at it.',
    {
      pattern: '^[1-5][0-9]{2}$',
    },
  ),
  'preference-applied': text('RFC 7240.', { const: 'receipt=id' }),
  'www-authenticate': text('RFC 6750.'),
  allow: text('Methods that this path takes.'),
  'accept-post': text('The media type to send.'),
} satisfies Record<string, Part>
export type HeaderName = keyof typeof HEADERS

export const headers = (...names: HeaderName[]): Part =>
  Object.fromEntries(
    ['x-request-id', ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  )
export const RATE: HeaderName[] = [
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
]

const object = (properties: Part, required = Object.keys(properties)): Part => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})
const list = (items: Part): Part => ({ type: 'array', items })
const string = { type: 'string' }
const integer = { type: 'integer', minimum: 0 }

const receipt = { type: 'string', ...BASE64URL, maxLength: 65_536 }
export const ref = (name: keyof typeof SCHEMAS): Part => ({ $ref: `#/components/schemas/${name}` })

export const SCHEMAS = {
  Error: object(
    {
      error: object({
        message: string,
        type: string,
        code: { type: 'string', enum: Object.keys(CODES) },
        param: { type: ['string', 'null'] },
      }),
      receipt: { ...receipt, description: 'Of the session that this failure ended.' },
    },
    ['error'],
  ),
  Receipt: { ...receipt, description: 'See Receipt in protocol/SPEC.md.' },
  Request: {
    type: 'object',
    description: 'What OpenAI’s API takes here; passed to the workload byte for byte.',
    properties: { model: string, stream: { type: ['boolean', 'null'] } },
    required: ['model'],
  },
  Answer: {
    description:
      'What the workload answered, byte for byte. A JSON object has `receipt` as its last member, unless it was asked for by id alone.',
    properties: { receipt },
  },
  Models: object({
    object: { const: 'list' },
    data: list(
      object({ id: string, object: { const: 'model' }, created: integer, owned_by: string }),
    ),
  }),
  Health: object(
    {
      certificate: {
        description: 'Where a public certificate is asked for: whose is served now.',
        enum: ['embassy', 'acme', 'expired'],
      },
      ready: { type: 'boolean' },
      reason: string,
    },
    ['ready', 'reason'],
  ),
  Overview: object(
    {
      attestation: object({
        document: { type: 'string', pattern: '^[0-9a-f]{64}$' },
        evidence: list(string),
      }),
      checkpoint: object({ origin: string, size: integer, utc_ms: integer }),
      metering: { enum: ['required', 'optional'] },
      ready: { type: 'boolean' },
      reason: string,
      workloads: list(
        object({
          endpoints: list(string),
          models: list(string),
          name: string,
          replicas: integer,
          replicas_idle: integer,
          replicas_ready: integer,
          seal_policy: { enum: ['request', 'epoch', 'permanent'] },
          waiting: integer,
        }),
      ),
    },
    ['attestation', 'metering', 'ready', 'reason', 'workloads'],
  ),
} satisfies Record<string, Part>

export const json = (schema: Part, type = 'application/json'): Part => ({ [type]: { schema } })

/** Statuses that some codes have in one place alone. */
export type Exceptions = Partial<Record<Code, number>>

/** Responses to these codes, by status. */
export function errors(
  codes: readonly Code[],
  more: HeaderName[] = [],
  exceptions: Exceptions = {},
): Part {
  const byStatus = new Map<number, Code[]>()
  for (const code of codes) {
    const status = exceptions[code] ?? statusOfCode(code)
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, of]) => [status, errorOf(status, of, more)]),
  )
}

function errorOf(status: number, codes: readonly Code[], more: HeaderName[]): Part {
  const own: HeaderName[] =
    status === 401
      ? ['www-authenticate']
      : status === 415
        ? ['accept-post']
        : status === 429 || status === 503
          ? ['retry-after']
          : []
  const stops = codes.some((code) => CODES[code] === 'stop') ? (['x-should-retry'] as const) : []
  return {
    description: codes.join(', '),
    headers: headers(...own, ...stops, ...more),
    content: json({
      allOf: [
        ref('Error'),
        { properties: { error: { properties: { code: { enum: [...new Set(codes)] } } } } },
      ],
    }),
  }
}

/** What a session ends in that failed after its reveal, or may have. */
export const failedSession = (more: HeaderName[]): Part => ({
  [AFTER_REVEAL]: {
    description:
      'The session failed after its input was revealed, or may have: SDKs do not send it again, and its use is counted. The receipt says why. With `sealed-workload-status` it is the workload’s own answer.',
    headers: headers('x-should-retry', 'sealed-receipt-id', ...more),
    content: json({ anyOf: [ref('Error'), ref('Answer'), {}] }),
  },
})
