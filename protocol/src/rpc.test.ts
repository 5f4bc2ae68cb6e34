// What the processes of a machine say to each other: errors keep their code and say nothing of an unexpected inside.
import { describe, expect, it } from 'vitest'
import { CODES, type Code, SealedError } from './errors.ts'
import {
  abortSchema,
  commitSchema,
  finalFrameSchema,
  fromRpcError,
  headFrameSchema,
  openedSchema,
  openSchema,
  parseRpc,
  revealedSchema,
  rpcErrorSchema,
  SessionFailure,
  statusSchema,
  toRpcError,
} from './rpc.ts'

const invalid = expect.objectContaining({ code: 'request.invalid' })
const digest = 'ab'.repeat(32)
const key16 = 'A'.repeat(22)
const key32 = 'A'.repeat(43)

describe('an error', () => {
  it('of every code comes back as it was', () => {
    for (const code of Object.keys(CODES) as Code[]) {
      const back = fromRpcError(
        JSON.parse(JSON.stringify(toRpcError(new SealedError(code, 'why')))),
      )
      expect(back).toBeInstanceOf(SealedError)
      expect(back).toMatchObject({ code, message: 'why', param: undefined, remedy: CODES[code] })
      expect([back.receipt, back.retryAfterMs]).toEqual([undefined, undefined])
    }
  })

  it('takes its member, receipt and time to wait along', () => {
    const options = { param: 'header.nonce', receipt: 'AAAA', retryAfterMs: 250 }
    const failure = new SessionFailure('queue.full', 'full', options)
    const wire = toRpcError(failure)
    expect(parseRpc(rpcErrorSchema, wire, 'error')).toEqual(wire)
    expect(fromRpcError(wire)).toMatchObject({ ...options, code: 'queue.full', message: 'full' })
  })

  it('that nobody expected says nothing of its inside', () => {
    for (const error of [new Error('/etc/secret'), new TypeError('x'), 'secret', undefined, null]) {
      const wire = toRpcError(error)
      expect(wire.error.code).toBe('internal.error')
      expect(JSON.stringify(wire)).not.toMatch(/secret|TypeError/)
      expect(Object.keys(wire.error)).toEqual(['code', 'message'])
    }
    const cause = new Error('secret')
    expect(
      JSON.stringify(toRpcError(new SealedError('seal.failed', 'no', { cause }))),
    ).not.toContain('secret')
  })

  it('is bounded', () => {
    const long = new SealedError('json.invalid', 'm'.repeat(5000), { param: 'p'.repeat(500) })
    const wire = toRpcError(long)
    expect([wire.error.message.length, wire.error.param!.length]).toEqual([2048, 256])
    expect(parseRpc(rpcErrorSchema, wire, 'error')).toEqual(wire)
  })

  it.each([
    [undefined],
    [null],
    ['error'],
    [{}],
    [{ error: {} }],
    [{ error: { code: 'no.such', message: '' } }],
    [{ error: { code: 'queue.full' } }],
    [{ error: { code: 'queue.full', message: 'x', stack: 'y' } }],
    [{ error: { code: 'queue.full', message: 'x' }, more: 1 }],
    [{ error: { code: 'queue.full', message: 'x', retry_after_ms: -1 } }],
    [{ error: { code: 'toString', message: 'x' } }],
  ])('that is none is an internal one: %j', (body) => {
    expect(fromRpcError(body)).toMatchObject({ code: 'internal.error', receipt: undefined })
  })
})

const OPEN = {
  caller: 'anonymous',
  door: 'envelope',
  header: 'AAAA',
  input_digest: digest,
  instructions: 'token',
  keys: { action: 'AAAA', input: 'AAAA' },
}
const OPEN_PLAIN = {
  caller: 'anonymous',
  door: 'plain',
  endpoint: '/v1/completions',
  input_sha256: digest,
  session: '0f'.repeat(16),
  workload: 'demo',
}
const REPLICA = {
  address: '10.0.0.2',
  endpoint: '/v1/completions',
  kind: 'replica',
  output_bytes: 1024,
  port: 8000,
  relay_ports: [20_000, 20_999],
  sessions: 1,
  workload_ms: 1000,
}
const WORKLOADS = [{ endpoints: ['/v1'], models: ['m'], name: 'demo', replicas_ready: 1 }]
const MESSAGES = [
  ['open, envelope door', openSchema, OPEN],
  ['open, plain door', openSchema, OPEN_PLAIN],
  [
    'opened, envelope door',
    openedSchema,
    { door: 'envelope', response_secret: key32, session: '0f'.repeat(16), signing_key: key16 },
  ],
  [
    'opened, plain door',
    openedSchema,
    { door: 'plain', revealed: REPLICA, salt: key32, session: '0f'.repeat(16) },
  ],
  ['revealed, replica', revealedSchema, REPLICA],
  ['revealed, reading', revealedSchema, { kind: 'reading', reading: '{}', receipt: 'AAAA' }],
  ['commit', commitSchema, { output_bytes: 0, output_sha256: digest, status: 200 }],
  ['abort', abortSchema, { output_bytes: 0, reason: 'client.gone' }],
  ['status', statusSchema, { ready: true, reason: '', workloads: WORKLOADS }],
  ['head frame', headFrameSchema, { content_type: 'application/json', status: 200 }],
] as const

describe.each(MESSAGES)('%s', (_name, schema, message) => {
  it('is taken as it stands', () => {
    expect(parseRpc(schema, message, 'message')).toEqual(message)
  })

  it('has every member and no other', () => {
    for (const member of Object.keys(message)) {
      const { [member as never]: _, ...rest } = message as Record<string, unknown>
      expect(() => parseRpc(schema, rest, 'message'), member).toThrow(invalid)
      for (const value of [null, [], {}, -1, 1.5])
        if (!(Array.isArray(value) && Array.isArray(message[member as never])))
          expect(
            () => parseRpc(schema, { ...message, [member]: value }, 'message'),
            member,
          ).toThrow(invalid)
    }
    expect(() => parseRpc(schema, { ...message, extra: 1 }, 'message')).toThrow(invalid)
    for (const other of [null, undefined, [], 'x', 1])
      expect(() => parseRpc(schema, other, 'message')).toThrow(invalid)
  })
})

describe('messages', () => {
  it('of one door do not have the members of the other', () => {
    expect(() => parseRpc(openSchema, { ...OPEN, door: 'plain' }, 'open')).toThrow(invalid)
    expect(() => parseRpc(openSchema, { ...OPEN_PLAIN, door: 'envelope' }, 'open')).toThrow(invalid)
    expect(() => parseRpc(openSchema, { ...OPEN_PLAIN, keys: OPEN.keys }, 'open')).toThrow(invalid)
  })

  it('may leave out what is optional, and not say it is undefined', () => {
    expect(parseRpc(openSchema, { ...OPEN_PLAIN, nonce: 'AAAA' }, 'open')).toHaveProperty('nonce')
    expect(() => parseRpc(openSchema, { ...OPEN_PLAIN, nonce: undefined }, 'open')).toThrow(invalid)
    const revealed = { ...REPLICA, encryption_key: key16 }
    expect(parseRpc(revealedSchema, revealed, 'revealed')).toEqual(revealed)
    expect(parseRpc(finalFrameSchema, {}, 'final')).toEqual({})
    expect(parseRpc(finalFrameSchema, { output_digest: digest, receipt: 'AA' }, 'final')).toEqual({
      output_digest: digest,
      receipt: 'AA',
    })
    expect(() => parseRpc(finalFrameSchema, { output_digest: 'x' }, 'final')).toThrow(invalid)
  })

  it('state bounds', () => {
    for (const status of [99, 600, 200.5, '200'])
      expect(() =>
        parseRpc(commitSchema, { output_bytes: 0, output_sha256: digest, status }, 'commit'),
      ).toThrow(invalid)
    for (const relay_ports of [[1], [1, 2, 3], [0, 1], [1, 65_536]])
      expect(() => parseRpc(revealedSchema, { ...REPLICA, relay_ports }, 'revealed')).toThrow(
        invalid,
      )
    expect(() => parseRpc(abortSchema, { output_bytes: 0, reason: 'because' }, 'abort')).toThrow(
      invalid,
    )
  })
})
