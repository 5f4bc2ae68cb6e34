// What an edge forwards, and what it does not. Mutants, each red here or in machine.neutral.test.ts: no gate, a verdict that
// is over or was not reached, no challenge, validity at one moment only (either), bad evidence that keeps the old verdict,
// another key set, a plain door, the header left out, redirects followed, a cache allowed, a header more, an http origin.
import {
  ENVELOPE_TYPE,
  keySetDigest,
  MAX_ENVELOPE_BYTES,
  RESPONSE_TYPE,
  toHex,
  utf8,
} from '@sealed/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import { MachineDouble, NOW } from '../../../client/src/test-support/machine-double.ts'
import { codeOf, type EdgeDouble, edgeDouble, type Vm } from '../test-support/edge-double.ts'
import { abortedReceipt, envelope, ID, never, streamOf } from '../test-support/fakes.ts'
import { KEPT_MS, PAUSE_MS } from './machine.ts'

const machine = await MachineDouble.create()
const keySet = toHex(await keySetDigest(machine.document.key_set))
const { body: good } = await envelope(NOW, keySet)
const HEADER = 'sealed-edge-attestation'

const sealed = (headers: Record<string, string> = {}, body: BodyInit = good): RequestInit => ({
  method: 'POST',
  body,
  headers: { 'content-type': ENVELOPE_TYPE, ...headers },
})
const answer = (body: BodyInit = 'sealed answer', headers: Record<string, string> = {}) =>
  new Response(body, {
    headers: { 'content-type': RESPONSE_TYPE, 'sealed-receipt-id': ID, ...headers },
  })
const error = (status: number, code: string, more: { headers?: HeadersInit; body?: object } = {}) =>
  Response.json(
    { error: { code, message: 'no', type: 'x', param: null }, ...more.body },
    { status, ...(more.headers && { headers: more.headers }) },
  )

let edge: EdgeDouble
const behind = (vm: Vm) => {
  edge = edgeDouble(machine, NOW, { vm })
}
beforeEach(() => behind(() => answer()))

describe('the envelope door of an edge', () => {
  it('forwards the very bytes and brings the answer back as it comes', async () => {
    let source: ReadableStreamDefaultController<Uint8Array> | undefined
    behind(() =>
      answer(
        new ReadableStream({
          start: (controller) => {
            source = controller
          },
        }),
        { 'x-ratelimit-remaining-requests': '59' },
      ),
    )
    const response = await edge.request('/v1/sealed', sealed())
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': RESPONSE_TYPE,
      'cache-control': 'no-store',
      'sealed-receipt-id': ID,
      'x-ratelimit-remaining-requests': '59',
    })
    expect(response.headers.get(HEADER)).toMatch(
      new RegExp(`^${machine.digest}; verified; [0-9a-f]{64}$`),
    )
    expect(edge.reached).toMatchObject([
      {
        method: 'POST',
        path: '/v1/sealed',
        body: utf8(good),
        init: { redirect: 'manual', cache: 'no-store' },
      },
    ])
    const reader = response.body!.getReader()
    for (const part of [Uint8Array.of(1), Uint8Array.of(2, 3)]) {
      source!.enqueue(part)
      expect((await reader.read()).value).toEqual(part)
    }
    source!.close()
    expect((await reader.read()).done).toBe(true)
  })

  it('hands on the API key and the request’s id, and no other header that came', async () => {
    const smuggled = {
      connection: 'close, authorization',
      'transfer-encoding': 'chunked',
      te: 'trailers',
      upgrade: 'h2c',
      'proxy-authorization': 'Basic x',
      host: 'elsewhere.example',
      'cf-connecting-ip': '192.0.2.1',
      'cf-worker': 'elsewhere.example',
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-host': 'elsewhere.example',
      forwarded: 'for=192.0.2.1',
      'x-real-ip': '192.0.2.1',
      'sealed-caller': 'somebody',
      'sealed-workload': 'other',
      cookie: 'a=b',
      origin: 'https://page.example',
      prefer: 'receipt=id',
      [HEADER]: 'mine',
    }
    const mine = { authorization: 'Bearer sk-1', 'x-request-id': 'r-1' }
    await edge.request('/v1/sealed', sealed({ ...smuggled, ...mine }))
    expect(Object.fromEntries(edge.reached[0]!.headers)).toEqual({
      ...mine,
      'content-type': ENVELOPE_TYPE,
      accept: RESPONSE_TYPE,
    })
  })

  it('lets no header of the VM through that it does not know', async () => {
    const odd = {
      connection: 'close',
      'transfer-encoding': 'gzip, chunked',
      'content-length': '3',
      'set-cookie': 'a=b',
      location: 'https://elsewhere.example',
      'access-control-allow-origin': '*',
      'cf-ray': 'x',
      [HEADER]: 'theirs; verified; theirs',
      'x-request-id': 'theirs',
      'cache-control': 'public',
    }
    behind(() => answer('sealed answer', odd))
    const response = await edge.request('/v1/sealed', sealed({ 'x-request-id': 'r-2' }))
    expect([...response.headers.keys()].sort()).toEqual([
      'cache-control',
      'content-type',
      HEADER,
      'sealed-receipt-id',
      'x-accel-buffering',
      'x-content-type-options',
      'x-request-id',
    ])
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('x-request-id')).toBe('r-2')
    expect(response.headers.get(HEADER)).toContain(machine.digest)
  })

  it('forwards no envelope for another machine', async () => {
    const { body } = await envelope(NOW)
    const response = await edge.request('/v1/sealed', sealed({}, body))
    expect([response.status, await codeOf(response)]).toEqual([400, 'envelope.expect_mismatch'])
    expect([edge.reached, edge.looks]).toEqual([[], 1])
  })

  it('finds a machine that booted since, and says in its answer which document that is', async () => {
    const next = await MachineDouble.create()
    const policy = {
      ...machine.policy,
      ak_roots: [...machine.policy.ak_roots, ...next.policy.ak_roots],
    }
    let now = machine
    edge = edgeDouble({ policy, answer: (nonce) => now.answer(nonce) }, NOW, { vm: () => answer() })
    expect((await edge.request('/v1/sealed', sealed())).status).toBe(200)
    now = next
    edge.clock.now += PAUSE_MS
    const toNext = await envelope(NOW, toHex(await keySetDigest(next.document.key_set)))
    const response = await edge.request('/v1/sealed', sealed({}, toNext.body))
    expect([response.status, edge.looks]).toEqual([200, 2])
    expect(response.headers.get(HEADER)).toContain(next.digest)
    const late = await edge.request('/v1/sealed', sealed())
    expect([late.status, edge.looks]).toEqual([400, 2])
    edge.clock.now += PAUSE_MS
    expect([(await edge.request('/v1/sealed', sealed())).status, edge.looks]).toEqual([400, 3])
    expect(edge.reached.length).toBe(2)
  })

  it('refuses a body that is too large, one that is no envelope, and one that is old', async () => {
    const tooLarge = { 'content-length': String(MAX_ENVELOPE_BYTES + 1) }
    const stale = await envelope(NOW - 400_000, keySet)
    for (const [init, status, code] of [
      [sealed(tooLarge), 413, 'envelope.too_large'],
      [sealed({}, 'x'), 400, 'envelope.invalid'],
      [sealed({}, stale.body), 400, 'envelope.expired'],
      [sealed({ 'content-type': 'application/json' }), 415, 'request.unsupported'],
    ] as const) {
      const response = await edge.request('/v1/sealed', init)
      expect([response.status, await codeOf(response)]).toEqual([status, code])
    }
    expect(edge.reached).toEqual([])
  })

  it('breaks the answer off where the VM’s breaks off', async () => {
    let sent = false
    behind(() =>
      answer(
        new ReadableStream({
          pull(controller) {
            if (sent) controller.error(new Error('cut'))
            else controller.enqueue(utf8('half an ans'))
            sent = true
          },
        }),
      ),
    )
    const response = await edge.request('/v1/sealed', sealed())
    await expect(response.arrayBuffer()).rejects.toThrow()
  })

  it('gives the VM’s answer up when its reader has gone', async () => {
    let cancelled = false
    behind(() =>
      answer(
        new ReadableStream({
          cancel() {
            cancelled = true
          },
        }),
      ),
    )
    const response = await edge.request('/v1/sealed', sealed())
    await response.body!.cancel()
    expect(cancelled).toBe(true)
  })

  it('gives the VM’s request up when the client goes before an answer', async () => {
    const gone = new AbortController()
    behind(({ signal }) => {
      setTimeout(() => gone.abort())
      return never(signal!)
    })
    await edge.request('/v1/sealed', { ...sealed(), signal: gone.signal })
    expect(edge.reached[0]!.signal!.aborted).toBe(true)
  })

  it.each<[string, () => Response]>([
    ['a web page', () => new Response('<html>')],
    ['a gateway’s error page', () => new Response('<html>', { status: 502 })],
    ['an overload that is not ours', () => new Response('busy', { status: 503 })],
    ['a redirect', () => new Response(null, { status: 307, headers: { location: 'https://x' } })],
    ['an answer without a receipt’s id', () => answer('x', { 'sealed-receipt-id': '' })],
    ['an answer of another type', () => answer('x', { 'content-type': 'text/plain' })],
    ['an error with a code that is none', () => error(503, 'nothing.known')],
    ['an error behind status 200', () => error(200, 'queue.full')],
  ])('takes %s for a lost answer: 424, and the machine is looked at again', async (_, vm) => {
    await edge.request('/v1/sealed', sealed())
    edge.vm = vm
    edge.clock.now += PAUSE_MS
    const response = await edge.request('/v1/sealed', sealed())
    expect([response.status, await codeOf(response)]).toEqual([424, 'session.aborted'])
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(edge.looks).toBe(1)
    edge.vm = () => answer()
    expect([(await edge.request('/v1/sealed', sealed())).status, edge.looks]).toEqual([200, 2])
  })

  it('answers 424 once when the VM is gone, then 503 until it verifies again', async () => {
    await edge.request('/v1/sealed', sealed())
    const refuse = () => Promise.reject(new Error('connection refused'))
    edge.vm = refuse
    edge.attestation = refuse
    edge.clock.now += PAUSE_MS
    const lost = await edge.request('/v1/sealed', sealed())
    expect([lost.status, await codeOf(lost)]).toEqual([424, 'session.aborted'])
    const reached = edge.reached.length
    const refused = await edge.request('/v1/sealed', sealed())
    expect([refused.status, await codeOf(refused)]).toEqual([503, 'edge.unverified'])
    expect(edge.reached.length).toBe(reached)
  })

  it('has the machine looked at for requests that break off only after a pause', async () => {
    behind(() => new Response('<html>'))
    for (let i = 0; i < 5; i++) await edge.request('/v1/sealed', sealed())
    expect([edge.reached.length, edge.looks]).toEqual([5, 1])
  })

  it('passes on what the VM refuses, and what a session ended in', async () => {
    const told = async (vm: Vm) => {
      edge.vm = vm
      const response = await edge.request('/v1/sealed', sealed())
      const body = (await response.json()) as { error: { code: string }; receipt?: string }
      return { status: response.status, headers: response.headers, body }
    }
    const full = await told(() => error(503, 'queue.full', { headers: { 'retry-after': '7' } }))
    expect([full.status, full.headers.get('retry-after')]).toEqual([503, '7'])
    const key = await told(() => error(401, 'request.unauthorized'))
    expect([key.status, key.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="sealed"',
    ])
    const replayed = await told(() => error(400, 'envelope.replayed'))
    expect([replayed.status, replayed.body.error.code]).toEqual([400, 'envelope.replayed'])
    const ended = await told(() =>
      error(424, 'workload.failed', {
        headers: { 'sealed-receipt-id': ID },
        body: { receipt: abortedReceipt },
      }),
    )
    expect([ended.status, ended.headers.get('sealed-receipt-id')]).toEqual([424, ID])
    expect(ended.body.receipt).toBe(abortedReceipt)
    const unfinished = await told(() =>
      error(424, 'queue.timeout', { headers: { 'sealed-receipt-id': ID } }),
    )
    expect(unfinished.status).toBe(424)
    const inside = await told(() => error(424, 'internal.error'))
    expect(inside.status).toBe(424)
    expect(edge.looks).toBe(1)
  })

  it('forwards nothing once its verdict is over and the VM cannot be asked', async () => {
    await edge.request('/v1/sealed', sealed())
    edge.attestation = () => Promise.reject(new Error('connection refused'))
    edge.clock.now += KEPT_MS
    const { body } = await envelope(edge.clock.now, keySet)
    const response = await edge.request('/v1/sealed', sealed({}, body))
    expect([response.status, await codeOf(response)]).toEqual([503, 'edge.unverified'])
    expect(edge.reached.length).toBe(1)
  })
})

it.each([
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/other',
])('what is asked of %s in clear is refused, and goes nowhere', async (path) => {
  const response = await edge.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"messages":[{"role":"user","content":"a prompt"}]}',
  })
  expect([response.status, await codeOf(response)]).toEqual([400, 'request.unsupported'])
  expect(edge.reached).toEqual([])
})

it('does not say that it serves what its machine does', async () => {
  const response = await edge.request('/openapi.json')
  expect([response.status, await codeOf(response)]).toEqual([404, 'request.not_found'])
})

describe('what else an edge passes on', () => {
  it.each([
    ['/v1/attestation', '/v1/attestation'],
    [
      '/v1/attestation?nonce=AAAAAAAAAAAAAAAAAAAAAA',
      '/v1/attestation?nonce=AAAAAAAAAAAAAAAAAAAAAA',
    ],
    [`/v1/attestation/${'ab'.repeat(32)}`, `/v1/attestation/${'ab'.repeat(32)}`],
    [`/v1/receipts/${ID}`, `/v1/receipts/${ID}`],
    [`/v1/receipts/${ID}/proof`, `/v1/receipts/${ID}/proof`],
    ['/log/checkpoint', '/log/checkpoint'],
    ['/log/0123456789abcdef/tile/0/000', '/log/0123456789abcdef/tile/0/000'],
  ])('asks the VM for %s, without a key', async (path, asked) => {
    behind(() => new Response(streamOf(utf8('evi'), utf8('dence'))))
    const response = await edge.request(path, { headers: { authorization: 'Bearer sk-1' } })
    expect([response.status, await response.text()]).toEqual([200, 'evidence'])
    expect(response.headers.get(HEADER)).toContain(machine.digest)
    expect(edge.reached.map(({ path }) => path)).toEqual([asked])
    expect([...edge.reached[0]!.headers]).toEqual([])
  })

  it('says what the VM says of evidence that is not there, and 503 where it does not answer', async () => {
    const path = `/v1/receipts/${ID}`
    for (const [vm, status, code] of [
      [() => error(404, 'request.not_found'), 404, 'request.not_found'],
      [() => error(404, 'receipt.pruned'), 404, 'receipt.pruned'],
      [() => error(503, 'attestation.busy'), 503, 'attestation.busy'],
      [() => new Response('<html>', { status: 404 }), 503, 'embassy.unavailable'],
      [() => Promise.reject(new Error('refused')), 503, 'embassy.unavailable'],
      [() => new Response(new Uint8Array(70_000)), 503, 'embassy.unavailable'],
    ] as const) {
      edge.vm = vm
      const response = await edge.request(path)
      expect([response.status, await codeOf(response)]).toEqual([status, code])
    }
  })

  it('has the VM list its models to the caller’s key', async () => {
    behind(({ headers }) =>
      headers.get('authorization') === 'Bearer sk-1'
        ? Response.json({ object: 'list', data: [] })
        : error(401, 'request.unauthorized'),
    )
    const listed = await edge.request('/v1/models', { headers: { authorization: 'Bearer sk-1' } })
    expect([listed.status, await listed.json()]).toEqual([200, { object: 'list', data: [] }])
    const refused = await edge.request('/v1/models')
    expect([refused.status, await codeOf(refused)]).toEqual([401, 'request.unauthorized'])
  })
})
