import { type Bytes, concat, RESPONSE_TYPE, utf8 } from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask } from './ask.ts'
import { type Attested, attest } from './attest.ts'
import { GatewayFailure } from './failure.ts'
import { type Bends, serve } from './test-support/gateway-double.ts'
import { MachineDouble, NOW } from './test-support/machine-double.ts'

const url = 'http://127.0.0.1:8080'
const now = () => NOW
let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})

async function failure(bends: Bends, maxOutputBytes?: number): Promise<GatewayFailure> {
  const { calls, fetch } = serve(machine, bends)
  const attested: Attested = await attest({ url, policy: machine.policy, fetch, now })
  const request = { attested, endpoint: '/v1/chat/completions', body: utf8('question') }
  const error = await ask({ ...request, ...(maxOutputBytes && { maxOutputBytes }) }).then(
    () => new Error('answered'),
    (reason: unknown) => reason,
  )
  expect(calls.filter((call) => call.startsWith('POST'))).toHaveLength(1)
  return error as GatewayFailure
}

const flip = (frame: Bytes, at: number): Bytes => {
  const bent = frame.slice()
  bent[at < 0 ? bent.length + at : at]! ^= 1
  return bent
}
const FRAMES = ['beat', 'head', 'data', 'data', 'final']

describe('a sealed answer that was touched on its way', () => {
  it.each(FRAMES.map((name, i) => [name, i] as const))(
    'refuses a %s frame (%i) with one bit changed, keeping the receipt’s id',
    async (_name, i) => {
      const error = await failure({
        frames: (frames) => frames.map((frame, j) => (i === j ? flip(frame, -1) : frame)),
      })
      expect(error.code).toBe('response.invalid')
      expect(error).toBeInstanceOf(GatewayFailure)
      expect(error.evidence?.receiptId).toMatch(/^[0-9a-f]{32}$/)
    },
  )

  it.each(FRAMES.map((name, i) => [name, i] as const))(
    'refuses an answer without its %s frame (%i)',
    async (_name, i) => {
      const error = await failure({ frames: (frames) => frames.filter((_frame, j) => i !== j) })
      expect(error.code).toBe(i === 4 ? 'response.truncated' : 'response.invalid')
    },
  )

  it.each([0, 1, 2, 3, 4])('refuses an answer cut after %i whole frames', async (count) => {
    const error = await failure({ frames: (frames) => frames.slice(0, count) })
    expect(error.code).toBe('response.truncated')
  })

  it('refuses an answer cut inside a frame, and one without a byte', async () => {
    const cut = await failure({ frames: ([...frames]) => [concat(...frames).slice(0, -3)] })
    expect(cut.code).toBe('response.truncated')
    const empty = await failure({ body: () => new Response('').body! })
    expect(empty.code).toBe('response.truncated')
  })

  it('calls a connection that breaks a cut answer', async () => {
    const body = (parts: Bytes[]) =>
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(parts[0]!),
        pull: (controller) => controller.error(new TypeError('terminated')),
      })
    expect((await failure({ body })).code).toBe('response.truncated')
  })

  it('refuses reordered frames, frames told twice, and bytes after the end', async () => {
    const swap = ([beat, head, one, two, final]: Bytes[]) => [beat!, head!, two!, one!, final!]
    expect((await failure({ frames: swap })).code).toBe('response.invalid')
    const twice = ([beat, head, one, ...rest]: Bytes[]) => [beat!, head!, one!, one!, ...rest]
    expect((await failure({ frames: twice })).code).toBe('response.invalid')
    const after = (frames: Bytes[]) => [...frames, Uint8Array.of(0) as Bytes]
    expect((await failure({ frames: after })).code).toBe('response.invalid')
  })

  it('reads an answer that comes byte by byte', async () => {
    const body = (parts: Bytes[]) => {
      const bytes = concat(...parts)
      let at = 0
      return new ReadableStream<Uint8Array>({
        pull: (controller) => {
          controller.enqueue(bytes.slice(at, at + 1))
          at += 1
          if (at === bytes.length) controller.close()
        },
      })
    }
    expect((await failure({ body })).message).toBe('answered')
  })

  it('refuses frames that say what they may not', async () => {
    const final = (members: Record<string, unknown>) => ({ ...members, extra: 1 })
    expect((await failure({ final })).code).toBe('response.invalid')
    const digest = () => ({ output_digest: '00'.repeat(32), receipt: 'AAAA' })
    expect((await failure({ final: digest })).code).toBe('response.digest_mismatch')
  })

  it('refuses more output than the caller takes', async () => {
    const error = await failure({}, 16)
    expect(error.code).toBe('response.invalid')
    expect(error.message).toContain('more than 16 bytes')
  })
})

describe('an answer that is not sealed', () => {
  it.each([
    ['JSON', { 'content-type': 'application/json' }],
    ['no type', {}],
    ['another binary', { 'content-type': `${RESPONSE_TYPE}-2` }],
  ])('refuses %s with status 200', async (_name, headers) => {
    const body = utf8('{"choices":[]}')
    const before: Bends['before'] = (_target, { method }) =>
      method === 'POST' ? new Response(body, { headers }) : undefined
    expect(await failure({ before })).toMatchObject({ code: 'response.invalid' })
  })

  it('does not follow a redirect', async () => {
    const before: Bends['before'] = (_target, init) => {
      expect(init.redirect).toBe('manual')
      if (init.method !== 'POST') return undefined
      return new Response(null, { status: 307, headers: { location: 'https://elsewhere.invalid' } })
    }
    expect(await failure({ before })).toMatchObject({ code: 'request.invalid', status: 307 })
  })
})
