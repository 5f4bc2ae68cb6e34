import { utf8 } from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask, type SessionEvent } from './ask.ts'
import { attest } from './attest.ts'
import { GatewayFailure } from './failure.ts'
import { pause, type RetryOptions, retryDelay } from './retry.ts'
import { errorResponse, serve } from './test-support/gateway-double.ts'
import { MachineDouble, NOW } from './test-support/machine-double.ts'
import { aborted } from './test-support/session-double.ts'

let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})

/** Asks a gateway that gives these answers to the first envelopes, and honest ones after. */
async function askAfter(refusals: Response[], retry: RetryOptions = {}) {
  const nonces: string[] = []
  const waits: number[] = []
  let posts = 0
  const { fetch } = serve(machine, {
    before: (_target, { method }) => (method === 'POST' ? refusals[posts++] : undefined),
  })
  const url = 'http://127.0.0.1:8080'
  const attested = await attest({ url, policy: machine.policy, fetch, now: () => NOW })
  const outcome = await ask({
    attested,
    endpoint: '/v1/chat/completions',
    body: utf8('question'),
    onEvent: (event: SessionEvent) => {
      if (event.type === 'prepared') nonces.push(event.header.nonce)
    },
    retry: { ...retry, pause: async (ms) => void waits.push(ms) },
  }).then(
    ({ status }) => status,
    (error: { code: string }) => error.code,
  )
  return { nonces, outcome, posts, waits }
}

const busy = (seconds = '1') =>
  errorResponse(503, 'queue.full', 'the queue is full', { 'retry-after': seconds })
const limited = () => errorResponse(429, 'limit.caller', 'too many', { 'retry-after': '3' })

describe('retries', () => {
  it('sends a new envelope after each refusal at the door, after the wait asked for', async () => {
    const { nonces, outcome, waits } = await askAfter([busy(), limited()])
    expect(outcome).toBe(200)
    expect(waits).toEqual([1000, 3000])
    expect(new Set(nonces).size).toBe(3)
  })

  it('gives up after its last attempt with the server’s code', async () => {
    expect(await askAfter([busy(), busy(), busy(), busy()])).toMatchObject({
      outcome: 'queue.full',
      posts: 3,
    })
    expect(await askAfter([busy()], { attempts: 1 })).toMatchObject({ posts: 1, waits: [] })
  })

  it('does not wait longer than the caller allows', async () => {
    expect(await askAfter([busy('31')])).toMatchObject({ outcome: 'queue.full', posts: 1 })
    expect(await askAfter([busy('31')], { maxWaitMs: 31_000 })).toMatchObject({ outcome: 200 })
  })

  it.each([
    ['no Retry-After', () => errorResponse(503, 'queue.full', 'full')],
    [
      'a code that says stop',
      () => errorResponse(503, 'session.aborted', 'x', { 'retry-after': '1' }),
    ],
    ['another status', () => errorResponse(500, 'queue.full', 'full', { 'retry-after': '1' })],
    ['a request at fault', () => errorResponse(400, 'envelope.replayed', 'again')],
  ])('does not send again after %s', async (_name, refusal) => {
    const { outcome, posts } = await askAfter([refusal()])
    expect(outcome).not.toBe(200)
    expect(posts).toBe(1)
  })

  it('does not send again when the connection breaks before an answer', async () => {
    let posts = 0
    const { fetch } = serve(machine, {
      before: (_target, { method }) => {
        if (method !== 'POST') return undefined
        posts++
        throw new TypeError('fetch failed')
      },
    })
    const url = 'http://127.0.0.1:8080'
    const attested = await attest({ url, policy: machine.policy, fetch, now: () => NOW })
    const request = { attested, endpoint: '/v1/chat/completions', body: utf8('q') }
    await expect(ask(request)).rejects.toMatchObject({ code: 'gateway.unreachable' })
    expect(posts).toBe(1)
  })

  it('does not send again after the reveal, even when the session’s code says retry', async () => {
    let posts = 0
    const { fetch } = serve(machine, {
      before: (_target, { method }) => {
        if (method === 'POST') posts++
        return undefined
      },
      reply: (session) => ({
        ...aborted(machine)(session),
        head: { status: 503, content_type: 'application/json' },
        output: utf8('{"error":{"message":"lost","code":"replica.unavailable"}}'),
      }),
    })
    const url = 'http://127.0.0.1:8080'
    const attested = await attest({ url, policy: machine.policy, fetch, now: () => NOW })
    const request = { attested, endpoint: '/v1/chat/completions', body: utf8('q') }
    await expect(ask(request)).rejects.toMatchObject({ code: 'replica.unavailable', status: 503 })
    expect(posts).toBe(1)
  })
})

describe('retryDelay', () => {
  it('is for refusals at the door alone: evidence means that an envelope was taken', () => {
    const refused = { status: 503, retryAfterMs: 1000 }
    const evidence = { document: machine.document, request: utf8(''), salt: utf8('') }
    const code = 'replica.unavailable'
    expect(retryDelay(new GatewayFailure(code, 'no', refused), 1)).toBe(1000)
    expect(retryDelay(new GatewayFailure(code, 'no', { ...refused, evidence }), 1)).toBeUndefined()
    expect(retryDelay(new TypeError('no'), 1)).toBeUndefined()
  })
})

describe('pause', () => {
  it('ends at once when the caller gives up', async () => {
    const controller = new AbortController()
    const waiting = pause(3_600_000, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(pause(3_600_000, controller.signal)).rejects.toThrow('enough')
    await expect(pause(0)).resolves.toBeUndefined()
  })
})
