// The OpenAPI 3.1 document of every public route, with all that it may answer. Tests hold it against the app: a route
// that is missing here, a path that is not served, and an answer of another form are failures.
import type { Code } from '@sealed/protocol'
import { ENVELOPE_TYPE, RESPONSE_TYPE } from '@sealed/protocol'
import {
  errors,
  failedSession,
  HEADERS,
  type HeaderName,
  headers,
  json,
  type Part,
  RATE,
  ref,
  SCHEMAS,
} from './parts.ts'

/** Of every route, where something fails that nobody foresaw. */
const ANY: Code[] = ['internal.error']
/** Of routes that take a slot. */
const SLOT: Code[] = ['limit.caller', 'queue.full']
const EMBASSY: Code[] = ['embassy.unavailable']
const KEYED: Code[] = ['request.unauthorized', 'config.invalid', 'limit.rate']
const SESSION: Code[] = [
  ...ANY,
  ...SLOT,
  ...EMBASSY,
  ...KEYED,
  'request.invalid',
  'workload.unknown',
  'endpoint.unknown',
  'queue.timeout',
  'replica.unavailable',
  'disk.full',
  'seal.failed',
  'state.rollback',
  'boot.key_lost',
  'request.unsupported',
]
const ENVELOPE: Code[] = [
  'encoding.invalid',
  'json.invalid',
  'json.not_canonical',
  'schema.invalid',
  'fernet.invalid',
  'fernet.expired',
  'envelope.invalid',
  'envelope.version',
  'envelope.too_large',
  'envelope.key_unknown',
  'envelope.key_mismatch',
  'envelope.digest_mismatch',
  'envelope.expired',
  'envelope.replayed',
  'envelope.expect_mismatch',
  'instructions.invalid',
  'instructions.unauthorized',
  'instructions.forged',
  'registry.unknown_capability',
  'registry.full',
]
const UNSUPPORTED = { 'request.unsupported': 415 }

const found = (description: string, content: Part, ...names: HeaderName[]): Part => ({
  200: { description, headers: headers(...names), content },
})
const text = (type = 'text/plain'): Part => json({ type: 'string' }, type)
const bearer = [{ bearer: [] }]
const open: Part[] = []
const parameter = (name: string, where: string, schema: Part, description: string): Part => ({
  name,
  in: where,
  ...(where === 'path' && { required: true }),
  description,
  schema: { type: 'string', ...schema },
})

const SESSION_HEADERS: HeaderName[] = [
  'sealed-receipt-id',
  'sealed-salt',
  'sealed-nonce',
  'preference-applied',
  'x-should-retry',
]

/** One of OpenAI's endpoints. */
const plain = (summary: string): Part => {
  const answered: HeaderName[] = [...RATE, ...SESSION_HEADERS]
  return {
    post: {
      summary,
      description:
        'The plain door: the gateway sees the request. Where `sealed-receipt-id` is on an answer below 500, it is the workload’s own, of whatever status and form.',
      security: bearer,
      parameters: [
        parameter(
          'sealed-nonce',
          'header',
          {},
          'base64url of 16 to 64 bytes, echoed in the receipt.',
        ),
        parameter('prefer', 'header', {}, '`receipt=id` leaves the receipt out of the body.'),
      ],
      requestBody: { required: true, content: json(ref('Request')) },
      responses: {
        ...found(
          'The workload’s answer. A stream was asked for by `stream`: comments may come between its events, and an event with `choices: []` and the receipt before its end mark.',
          { ...json(ref('Answer')), 'text/event-stream': {}, '*/*': {} },
          ...answered,
        ),
        ...errors([...SESSION, 'request.too_large'], answered, UNSUPPORTED),
        ...failedSession([...answered, 'sealed-workload-status']),
        default: { description: 'The workload’s own answer.', headers: headers(...answered) },
      },
    },
  }
}

const logPart = (summary: string, content: Part): Part => ({
  get: {
    summary,
    security: open,
    responses: {
      ...found(summary, content),
      ...errors([...ANY, ...SLOT, ...EMBASSY, 'request.not_found', 'log.damaged']),
    },
  },
})
const LOG = {
  checkpoint: logPart(
    'The newest checkpoint: a signed note (C2SP), with witnesses’ signatures.',
    text(),
  ),
  boot: logPart('The first leaf of the log.', json({ type: 'object' })),
  'tile/{level}/{index}': logPart(
    'A tile of hashes (C2SP tlog-tiles). `index` has the form that is written there, with slashes, and may end in `.p/` and a width.',
    json({}, 'application/octet-stream'),
  ),
}
const logPaths = (prefix: string, parameters: Part[]): Part =>
  Object.fromEntries(
    Object.entries(LOG).map(([name, part]) => {
      const tile = name.startsWith('tile')
        ? [
            parameter('level', 'path', { pattern: '^[0-9]+$' }, 'Level of the tile.'),
            parameter('index', 'path', {}, 'Index of the tile.'),
          ]
        : []
      return [`${prefix}/${name}`, { parameters: [...parameters, ...tile], ...part }]
    }),
  )

const health = (summary: string): Part => ({
  get: {
    summary,
    security: open,
    responses: {
      ...found('Yes.', json(ref('Health'))),
      503: { description: 'No, and why.', headers: headers(), content: json(ref('Health')) },
      ...errors(ANY),
    },
  },
})

const ID = { pattern: '^[0-9a-f]{32}$' }
const idParameter = parameter('id', 'path', ID, 'The session’s, as in `sealed-receipt-id`.')

const paths: Part = {
  '/v1/chat/completions': plain('Chat completion'),
  '/v1/completions': plain('Text completion'),
  '/v1/embeddings': plain('Embeddings'),
  '/v1/responses': plain('Response'),
  '/v1/sealed': {
    post: {
      summary: 'A session of the envelope door',
      description: 'The gateway can open neither the envelope nor the answer (protocol/SPEC.md).',
      security: bearer,
      requestBody: { required: true, content: json({ type: 'object' }, ENVELOPE_TYPE) },
      responses: {
        ...found(
          'The sealed answer, as it comes.',
          json({}, RESPONSE_TYPE),
          ...RATE,
          'sealed-receipt-id',
        ),
        ...errors(
          [...SESSION, ...ENVELOPE],
          [...RATE, 'sealed-receipt-id', 'x-should-retry'],
          UNSUPPORTED,
        ),
        ...failedSession(RATE),
      },
    },
  },
  '/v1/models': {
    get: {
      summary: 'Models that are served',
      security: bearer,
      responses: {
        ...found('OpenAI’s list.', json(ref('Models')), ...RATE),
        ...errors([...ANY, ...SLOT, ...EMBASSY, ...KEYED], RATE),
      },
    },
  },
  '/v1/attestation': {
    get: {
      summary: 'The attestation document in use, and a fresh quote over a nonce',
      security: open,
      parameters: [parameter('nonce', 'query', {}, 'base64url of 16 to 64 bytes.')],
      responses: {
        ...found('See Attestation document in protocol/SPEC.md.', json({ type: 'object' })),
        ...errors([
          ...ANY,
          ...SLOT,
          ...EMBASSY,
          'request.invalid',
          'attestation.busy',
          'tpm.failed',
        ]),
      },
    },
  },
  '/v1/attestation/{digest}': {
    get: {
      summary: 'An attestation document by its digest',
      security: open,
      parameters: [
        parameter('digest', 'path', { pattern: '^[0-9a-f]{64}$' }, 'As receipts name it.'),
      ],
      responses: {
        ...found('See Attestation document in protocol/SPEC.md.', json({ type: 'object' })),
        ...errors([...ANY, ...SLOT, ...EMBASSY, 'request.not_found']),
      },
    },
  },
  '/v1/receipts/{id}': {
    get: {
      summary: 'A session’s receipt, for whoever knows its id',
      security: open,
      parameters: [idParameter],
      responses: {
        ...found('As text; as JSON with `Accept: application/json`.', {
          ...json(ref('Receipt'), 'text/plain'),
          ...json({
            type: 'object',
            properties: { receipt: ref('Receipt') },
            required: ['receipt'],
            additionalProperties: false,
          }),
        }),
        ...errors([...ANY, ...SLOT, ...EMBASSY, 'request.not_found', 'receipt.pruned']),
      },
    },
  },
  '/v1/receipts/{id}/proof': {
    get: {
      summary: 'C2SP tlog-proof of the receipt’s leaf',
      security: open,
      parameters: [idParameter],
      responses: {
        ...found('Under the best cosigned checkpoint that covers it.', text()),
        ...errors([
          ...ANY,
          ...SLOT,
          ...EMBASSY,
          'request.not_found',
          'receipt.pruned',
          'log.damaged',
        ]),
      },
    },
  },
  '/v1/status': {
    get: {
      summary: 'What is served and how it is; nothing of it is proven',
      security: open,
      responses: {
        ...found('A page for people with `Accept: text/html`.', {
          ...json(ref('Overview')),
          ...text('text/html'),
        }),
        ...errors([...ANY, ...SLOT, ...EMBASSY]),
      },
    },
  },
  ...logPaths('/log', []),
  ...logPaths('/log/{origin}', [
    parameter('origin', 'path', { pattern: '^[0-9a-f]{16}$' }, 'Hex digits of a log’s origin.'),
  ]),
  '/health': health('Whether requests would be served now'),
  '/health/ready': health('Whether requests would be served now'),
  '/health/live': {
    get: {
      summary: 'Whether the process answers',
      security: open,
      responses: {
        ...found(
          'Yes.',
          json({
            type: 'object',
            properties: { live: { const: true } },
            required: ['live'],
            additionalProperties: false,
          }),
        ),
        ...errors(ANY),
      },
    },
  },
  '/openapi.json': {
    get: {
      summary: 'This document',
      security: open,
      responses: { ...found('OpenAPI 3.1.', json({ type: 'object' })), ...errors(ANY) },
    },
  },
}

export const DOCUMENT = {
  openapi: '3.1.1',
  info: {
    title: 'Sealed computation gateway',
    version: '1',
    description:
      'Errors are `{error: {message, type, code, param}}`. A known path with another method is 405 `request.method`, an unknown one 404 `request.not_found`; what is no proper HTTP is 400, too slow 408, with too large a header 431. Deployments without API keys, on loopback, ask for none.',
  },
  servers: [{ url: '/' }],
  paths,
  components: {
    headers: HEADERS,
    schemas: SCHEMAS,
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
  },
} satisfies Part
