// A gateway and embassy for tests, as a `fetch`: built from protocol's server-side pieces, so that envelopes are really
// opened and answers really sealed. Each step can be bent by a test.
import {
  type Bytes,
  canonicalBytes,
  concat,
  contentDigest,
  decryptToken,
  type FrameType,
  fromBase64url,
  openInstructions,
  parseEnvelope,
  RESPONSE_TYPE,
  ResponseWriter,
  randomBytes,
  readInstructions,
  SealedError,
  sessionSalt,
  sha256,
  toHex,
  unwrapInputKeys,
} from '@sealed/protocol'
import type { MachineDouble } from './machine-double.ts'
import {
  completion,
  completionEvents,
  doneStatements,
  type Reply,
  readingOf,
  readStatements,
  type SessionDouble,
} from './session-double.ts'

export interface Bends {
  /** Answers instead of the gateway; undefined lets the request through. */
  before?: (url: URL, init: RequestInit) => Response | undefined | Promise<Response | undefined>
  /** What the workload answers, honestly committed to. */
  output?: () => Bytes
  reply?: (session: SessionDouble, reply: Reply) => Reply | Promise<Reply>
  receipt?: (receipt: string) => string | undefined | Promise<string | undefined>
  frames?: (frames: Bytes[]) => Bytes[]
  body?: (parts: Bytes[]) => ReadableStream<Uint8Array>
  final?: (final: Record<string, unknown>) => Record<string, unknown>
  /** Awaited before each part of a streamed answer; what it throws breaks the connection. */
  pace?: (part: number) => Promise<void> | void
  attestation?: (answer: Record<string, unknown>) => unknown
}

export interface GatewayDouble {
  fetch: (url: string, init: RequestInit) => Promise<Response>
  /** `GET /v1/attestation`, `POST /v1/sealed`, … in the order in which they came. */
  calls: string[]
  requests: { body: Bytes; headers: Headers }[]
  sessions: SessionDouble[]
  /** How many streamed answers were given up by their reader. */
  cancelled: number
}

export function serve(machine: MachineDouble, bends: Bends = {}): GatewayDouble {
  const double: GatewayDouble = {
    calls: [],
    requests: [],
    sessions: [],
    cancelled: 0,
    fetch: async (target, init) => {
      const url = new URL(target)
      double.calls.push(`${init.method} ${url.pathname}`)
      const bent = await bends.before?.(url, init)
      if (bent) return bent
      if (url.pathname === '/v1/attestation') return attestation(machine, url, bends)
      if (url.pathname === '/v1/models')
        return Response.json({ object: 'list', data: [{ id: 'demo', object: 'model' }] })
      if (url.pathname === `/v1/attestation/${machine.digest}`)
        return new Response(canonicalBytes(machine.document))
      if (init.method === 'POST' && url.pathname === '/v1/sealed') {
        const body = new Uint8Array(init.body as Bytes)
        double.requests.push({ body, headers: new Headers(init.headers) })
        return sealed(machine, body, bends, double, init.signal).catch((error: unknown) => {
          if (error instanceof SealedError) return errorResponse(400, error.code, error.message)
          throw error
        })
      }
      return errorResponse(404, 'request.not_found', 'there is nothing here')
    },
  }
  return double
}

export const errorResponse = (
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response =>
  Response.json(
    { error: { message, type: 'invalid_request_error', code, param: null } },
    { status, headers },
  )

async function attestation(machine: MachineDouble, url: URL, bends: Bends): Promise<Response> {
  const answer = await machine.answer(fromBase64url(url.searchParams.get('nonce')!))
  return new Response(canonicalBytes(bends.attestation?.(answer) ?? answer))
}

async function sealed(
  machine: MachineDouble,
  body: Bytes,
  bends: Bends,
  double: GatewayDouble,
  signal?: AbortSignal | null,
): Promise<Response> {
  const parsed = await parseEnvelope(body)
  const { envelope, header, headerDigest } = parsed
  const secrets = await unwrapInputKeys(machine.transportPrivate, parsed)
  const context = { responseSecret: secrets.responseSecret, headerDigest }
  const authorities = machine.document.configuration.authorities.map(
    ({ id, public_key }) => [id, fromBase64url(public_key)] as const,
  )
  const session: SessionDouble = {
    id: toHex(randomBytes(16)),
    header,
    headerDigest,
    input: await decryptToken(secrets.inputKey, envelope.input),
    instructions: await readInstructions(
      await openInstructions(machine.transportPrivate, parsed),
      { audience: header.key_id, inputDigest: header.input_digest, nonce: header.nonce },
      new Map(authorities),
    ),
    salt: await sessionSalt(context),
  }
  double.sessions.push(session)
  const honest = await reply(machine, session, bends.output)
  const given = (await bends.reply?.(session, honest)) ?? honest
  const encoded = await machine.receipt(session.id, given.statements)
  const receipt = bends.receipt ? await bends.receipt(encoded) : encoded
  const final = {
    output_digest: toHex(await sha256(given.output)),
    ...(receipt !== undefined && { receipt }),
  }
  const writer = new ResponseWriter(context)
  const pieces = header.stream ? events(given.output) : halves(given.output)
  const contents: [FrameType, Uint8Array][] = [
    ['beat', new Uint8Array(0)],
    ['head', canonicalBytes(given.head)],
    ...pieces.map((piece): [FrameType, Uint8Array] => ['data', piece]),
    ['final', canonicalBytes(bends.final?.(final) ?? final)],
  ]
  const frames: Bytes[] = []
  for (const [type, plaintext] of contents) frames.push(await writer.frame(type, plaintext))
  const parts = [writer.serverRandom, ...(bends.frames?.(frames) ?? frames)]
  const whole = () => (header.stream ? paced(parts, bends, double, signal) : concat(...parts))
  return new Response(bends.body?.(parts) ?? whole(), {
    headers: { 'content-type': RESPONSE_TYPE, 'sealed-receipt-id': session.id },
  })
}

const halves = (output: Bytes) => {
  const half = output.length >> 1
  return [output.subarray(0, half), output.subarray(half)]
}

/** The output cut after each empty line, as an event stream is written. */
function events(output: Bytes): Bytes[] {
  const pieces: Bytes[] = []
  let from = 0
  for (let at = 1; at < output.length; at++)
    if (output[at] === 10 && output[at - 1] === 10) {
      pieces.push(output.subarray(from, at + 1))
      from = at + 1
    }
  return from < output.length ? [...pieces, output.subarray(from)] : pieces
}

/** The parts one by one, as a connection brings them: it breaks when the signal of its request is aborted. */
function paced(
  parts: Bytes[],
  bends: Bends,
  double: GatewayDouble,
  signal: AbortSignal | null | undefined,
): ReadableStream<Uint8Array> {
  let part = 0
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener('abort', () => {
        double.cancelled += 1
        controller.error(signal.reason)
      })
    },
    async pull(controller) {
      await bends.pace?.(part)
      if (signal?.aborted) return
      controller.enqueue(parts[part++]!)
      if (part === parts.length) controller.close()
    },
    cancel() {
      if (!signal?.aborted) double.cancelled += 1
    },
  })
}

async function reply(
  machine: MachineDouble,
  session: SessionDouble,
  answer?: () => Bytes,
): Promise<Reply> {
  const { action, authority } = session.instructions
  const reading = action.type === 'read'
  const usual = reading
    ? canonicalBytes(readingOf(authority!))
    : session.header.stream
      ? completionEvents(['Forty', '-two', '.'])
      : completion('Forty-two.', { 'reach_192.0.2.1:80': 'refused: ECONNRESET' })
  const output = answer?.() ?? usual
  const digest = await contentDigest(session.salt, await sha256(output))
  const statements = reading
    ? readStatements(machine, session, digest)
    : doneStatements(machine, session, digest, output.length)
  const content_type = session.header.stream ? 'text/event-stream' : 'application/json'
  return { head: { status: 200, content_type }, output, statements }
}
