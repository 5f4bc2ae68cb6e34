import { utf8 } from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bends, errorResponse, serve } from '../test-support/gateway-double.ts'
import { MachineDouble, NOW, workloadOf } from '../test-support/machine-double.ts'
import { completionEvents } from '../test-support/session-double.ts'
import { createSealedFetch, type SealedFetchOptions, verdictOf } from './sealed-fetch.ts'

const gateway = 'http://127.0.0.1:8080'
const chat = `${gateway}/v1/chat/completions`
let machine: MachineDouble
let other: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
  other = await MachineDouble.create({ workloads: [workloadOf('one', 1), workloadOf('two', 3)] })
})

function connect(bends: Bends = {}, options: Partial<SealedFetchOptions> = {}, on = machine) {
  const double = serve(on, bends)
  const fetch = createSealedFetch({
    gateway,
    policy: on.policy,
    fetch: double.fetch,
    now: () => NOW,
    ...options,
  })
  const send = (body: Record<string, unknown> = {}, init: RequestInit = {}) =>
    fetch(chat, { method: 'POST', body: JSON.stringify(body), ...init })
  return { double, fetch, send }
}
const attestations = (calls: string[]) =>
  calls.filter((call) => call === 'GET /v1/attestation').length

describe('a sealed fetch', () => {
  it('attests once, and seals each request with its own endpoint', async () => {
    const { double, fetch } = connect()
    const paths = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses']
    const all = await Promise.all(
      paths.map((path) => fetch(gateway + path, { method: 'POST', body: '{}' })),
    )
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(double.sessions.map(({ header }) => header.endpoint).sort()).toEqual(paths.sort())
    expect(attestations(double.calls)).toBe(1)
  })

  it('gives back the workload’s very bytes, streamed too', async () => {
    const { send } = connect({ output: () => utf8('{"odd" : 1}\n') })
    expect(await (await send()).text()).toBe('{"odd" : 1}\n')
    const streamed = await connect().send({ stream: true })
    expect(streamed.headers.get('content-type')).toBe('text/event-stream')
    expect(new Uint8Array(await streamed.arrayBuffer())).toEqual(
      completionEvents(['Forty', '-two', '.']),
    )
  })

  it('does not show the end of a stream before its receipt is verified', async () => {
    const gate = Promise.withResolvers<void>()
    const { send } = connect({ pace: (part) => (part > 7 ? gate.promise : undefined) })
    const response = await send({ stream: true })
    let text = ''
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    while (!text.includes('"finish_reason":"stop"')) text += (await reader.read()).value
    const verdict = verdictOf(response)
    expect(text).not.toContain('[DONE]')
    gate.resolve()
    expect((await reader.read()).value).toBe('data: [DONE]\n\n')
    expect((await verdict).outcome).toBe('verified')
  })

  it.each(['text/event-stream', 'text/plain'])(
    'judges what came, whatever a reader of %s does with the pieces',
    async (content_type) => {
      const { send } = connect({
        reply: (_, reply) => ({ ...reply, head: { ...reply.head, content_type } }),
      })
      const response = await send({ stream: true })
      const sink = new WritableStream<Uint8Array>({
        // As a byte stream does, and who posts them to another thread.
        write: (piece) => void structuredClone(piece, { transfer: [piece.buffer] }),
      })
      await response.body!.pipeTo(sink)
      expect((await verdictOf(response))?.outcome).toBe('verified')
    },
  )

  it('attests again when the machine has other keys, and asks once more', async () => {
    let refusals = 1
    const before: Bends['before'] = (url) =>
      url.pathname === '/v1/sealed' && refusals-- > 0
        ? errorResponse(400, 'envelope.key_unknown', 'no such key')
        : undefined
    const { double, send } = connect({ before })
    expect((await send()).status).toBe(200)
    expect(attestations(double.calls)).toBe(2)
    refusals = 2
    const response = await send()
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 'envelope.key_unknown' } })
  })

  it('sends nothing while the machine cannot be attested, and asks it again for the next', async () => {
    let dead = true
    const { double, send } = connect({
      before: () => (dead ? errorResponse(503, 'attestation.busy', 'busy') : undefined),
    })
    expect((await send()).status).toBe(424)
    expect(double.requests).toEqual([])
    dead = false
    expect((await send()).status).toBe(200)
  })

  it('asks the workload that serves the model, or the one it was told', async () => {
    const named = connect({}, {}, other)
    await named.send({ model: 'two-model' })
    await named.send({ model: 'one' })
    expect(named.double.sessions.map(({ header }) => header.workload)).toEqual(['two', 'one'])
    const told = connect({}, { workload: 'one' }, other)
    await told.send({ model: 'two-model' })
    await told.send({ model: 'any' })
    expect(told.double.sessions.map(({ header }) => header.workload)).toEqual(['one', 'one'])
  })

  it('sends nothing for a model that the machine does not have, be it the only one’s or not', async () => {
    for (const on of [machine, other]) {
      const { double, send } = connect({}, {}, on)
      const response = await send({ model: 'three' })
      expect(response.status).toBe(404)
      expect(response.headers.get('x-should-retry')).toBe('false')
      const { error } = (await response.json()) as { error: unknown }
      expect(error).toMatchObject({ code: 'workload.unknown', param: 'model' })
      expect(double.requests).toEqual([])
    }
  })

  it('attests again for a model that a machine may have by now, but not at every request', async () => {
    const clock = { now: NOW }
    const { double, send } = connect({}, { now: () => clock.now })
    expect((await send({ model: 'three' })).status).toBe(404)
    expect((await send({ model: 'three' })).status).toBe(404)
    expect(attestations(double.calls)).toBe(1)
    clock.now += 30_000
    expect((await send({ model: 'three' })).status).toBe(404)
    expect((await send({ model: 'three' })).status).toBe(404)
    expect(attestations(double.calls)).toBe(2)
  })

  it('prefers its own API key to the SDK’s, and sends neither in clear beyond the loopback', async () => {
    const headers = { authorization: 'Bearer sk-sdk' }
    const own = connect({}, { apiKey: 'sk-own' })
    await own.send({}, { headers })
    expect(own.double.requests[0]!.headers.get('authorization')).toBe('Bearer sk-own')
    const far = 'http://gateway.example'
    const clear = connect({}, { gateway: far })
    const init = { method: 'POST', body: '{}', headers }
    const response = await clear.fetch(`${far}/v1/chat/completions`, init)
    expect(response.status).toBe(400)
    expect(clear.double.requests).toEqual([])
  })

  it('never makes a workload’s own failure look like one to send again', async () => {
    for (const status of [408, 409, 429, 500, 503]) {
      const reply: Bends['reply'] = (_session, honest) => ({
        ...honest,
        head: { ...honest.head, status },
        statements: honest.statements.map((one) =>
          one.type === 'output.committed' ? { ...one, status } : one,
        ),
      })
      for (const stream of [false, true]) {
        const response = await connect({ reply }).send({ stream })
        expect(response.status).toBe(424)
        expect(response.headers.get('sealed-workload-status')).toBe(String(status))
        expect(response.headers.get('x-should-retry')).toBe('false')
      }
    }
  })

  it.each(['envelope.key_unknown', 'envelope.expect_mismatch', 'workload.unknown'])(
    'never sends again what was taken, though its last frame says %s as a refusal would',
    async (code) => {
      for (const stream of [false, true]) {
        const final: Bends['final'] = (honest) => ({ ...honest, error: { code, message: 'no' } })
        const { double, send } = connect({ final })
        const response = await send({ stream })
        if (stream) await expect(response.text()).rejects.toMatchObject({ code })
        else expect(response.status).toBe(424)
        expect(double.requests).toHaveLength(1)
      }
    },
  )

  it('refuses an answer that a callback refuses', async () => {
    const onVerdict = () => {
      throw new Error('not this one')
    }
    const whole = await connect({}, { onVerdict }).send()
    expect(whole.status).toBe(424)
    const streamed = await connect({}, { onVerdict }).send({ stream: true })
    await expect(streamed.text()).rejects.toThrow('not this one')
  })

  it('rejects as fetch does when its caller gives up, and with nothing else', async () => {
    const { double, send } = connect()
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(send({}, { signal })).rejects.toThrow('enough')
    expect(double.calls).toEqual([])
    const broken = connect({ before: () => Promise.reject(new TypeError('fetch failed')) })
    expect((await broken.send()).status).toBe(503)
  })

  it('says which verdict belongs to a response, and that none belongs to others', async () => {
    const bends: Bends = {
      reply: (_session, honest) => ({ ...honest, output: utf8('forged') }),
    }
    const wrong = await connect(bends).send()
    expect(wrong.status).toBe(424)
    expect((await verdictOf(wrong)).outcome).toBe('failed')
    const cut = await connect({ frames: (frames) => frames.slice(0, 4) }).send({ stream: true })
    await expect(verdictOf(cut)).rejects.toMatchObject({ code: 'response.truncated' })
    await expect(verdictOf(new Response())).rejects.toMatchObject({ code: 'request.invalid' })
  })

  it('repeats what was given up only when somebody asks for it anew', async () => {
    let started = Promise.withResolvers<void>()
    const { double, send } = connect({
      pace: () => {
        started.resolve()
        return new Promise(() => {})
      },
    })
    const controller = new AbortController()
    const again = { headers: { 'x-stainless-retry-count': '1' } }
    const first = send({ stream: true }, { signal: controller.signal })
    await started.promise
    controller.abort()
    await expect(first).rejects.toBe(controller.signal.reason)
    const refused = await send({ stream: true }, again)
    expect(refused.status).toBe(424)
    expect(double.requests).toHaveLength(1)
    expect((await send({ stream: false }, again)).status).toBe(200)
    started = Promise.withResolvers()
    void send({ stream: true })
    await started.promise
    expect(double.requests).toHaveLength(3)
  })
})
