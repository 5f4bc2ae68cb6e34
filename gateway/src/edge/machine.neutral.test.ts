import type { AttestationAnswer } from '@sealed/protocol'
import { canonicalBytes, randomBytes, sha256Hex } from '@sealed/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import { MachineDouble, NOW } from '../../../client/src/test-support/machine-double.ts'
import { codeOf, type EdgeDouble, edgeDouble } from '../test-support/edge-double.ts'
import { KEPT_MS, PAUSE_MS, REFRESH_MS } from './machine.ts'

const machine = await MachineDouble.create()
const policyId = await sha256Hex(canonicalBytes(machine.policy))
const HEADER = 'sealed-edge-attestation'
const LOG = '/log/checkpoint'

let edge: EdgeDouble
beforeEach(() => {
  edge = edgeDouble(machine, NOW, { vm: () => new Response('a checkpoint') })
})

/** What a request gets: its status, or the code of a refusal. */
async function ask(path = LOG): Promise<number | string> {
  const response = await edge.request(path)
  if (response.ok) {
    await response.arrayBuffer()
    return response.status
  }
  return codeOf(response)
}
const down = () => {
  edge.attestation = () => Promise.reject(new Error('connection refused'))
}
const answering = (bend: (answer: AttestationAnswer) => unknown) => {
  edge.attestation = async () => {
    const answer = await machine.answer(randomBytes(32))
    return new Response(canonicalBytes(bend(structuredClone(answer))))
  }
}

describe('the machine behind an edge', () => {
  it('is looked at once, and the answer says which document was checked under which policy', async () => {
    expect(edge.looks).toBe(0)
    const response = await edge.request(LOG)
    expect(await response.text()).toBe('a checkpoint')
    expect(response.headers.get(HEADER)).toBe(`${machine.digest}; verified; ${policyId}`)
    expect([await ask(), await ask('/log/boot'), edge.looks]).toEqual([200, 200, 1])
  })

  it('is asked with a nonce of its own each time', async () => {
    const nonces: string[] = []
    edge = edgeDouble(
      {
        policy: machine.policy,
        answer: (nonce) => {
          nonces.push(String(nonce))
          return machine.answer(nonce)
        },
      },
      NOW,
      { vm: () => new Response('x') },
    )
    await ask()
    edge.clock.now += KEPT_MS
    await ask()
    expect(new Set(nonces).size).toBe(2)
  })

  it.each([
    ['/v1/sealed', 'POST'],
    ['/v1/chat/completions', 'POST'],
    ['/v1/models', 'GET'],
    ['/v1/attestation', 'GET'],
    [`/v1/attestation/${'ab'.repeat(32)}`, 'GET'],
    [`/v1/receipts/${'ab'.repeat(16)}`, 'GET'],
    ['/v1/status', 'GET'],
    [LOG, 'GET'],
  ])('lets nothing through to %s while it does not verify', async (path, method) => {
    edge = edgeDouble(
      { policy: { ...machine.policy, workloads: [] }, answer: (nonce) => machine.answer(nonce) },
      NOW,
      { vm: () => new Response('x') },
    )
    const response = await edge.request(path, { method })
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe(String(PAUSE_MS / 1000))
    expect(response.headers.get(HEADER)).toBeNull()
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    expect(error.code).toBe('edge.unverified')
    expect(error.message).toContain('document.configuration')
    expect(edge.reached).toEqual([])
  })

  it.each<[string, (answer: AttestationAnswer) => unknown]>([
    ['no challenge', ({ document }) => ({ document })],
    ['the challenge of another nonce', (answer) => answer],
    ['another member', (answer) => ({ ...answer, more: 1 })],
    ['nothing', () => ({})],
  ])('is not taken with %s', async (_, bend) => {
    answering(bend)
    expect([await ask(), edge.reached]).toEqual(['edge.unverified', []])
  })

  it.each<[string, () => Response | Promise<Response>]>([
    ['is unreachable', () => Promise.reject(new Error('refused'))],
    ['redirects', () => new Response(null, { status: 302, headers: { location: 'https://x' } })],
    [
      'is busy',
      () => Response.json({ error: { code: 'attestation.busy', message: '' } }, { status: 503 }),
    ],
    ['is a web page', () => new Response('<html>')],
    ['is too large', () => new Response(new Uint8Array(3 * 1024 * 1024))],
    [
      'breaks off',
      () => new Response(new ReadableStream({ pull: (c) => c.error(new Error('cut')) })),
    ],
  ])('is not taken when its attestation %s', async (_, attestation) => {
    edge.attestation = attestation
    expect([await ask(), edge.reached]).toEqual(['edge.unverified', []])
  })

  it('is looked at once for many requests that come together', async () => {
    expect(await Promise.all(Array.from({ length: 8 }, () => ask()))).toEqual(Array(8).fill(200))
    expect(edge.looks).toBe(1)
  })

  it('is looked at again beside the requests before its time is over, once', async () => {
    await ask()
    edge.clock.now = NOW + REFRESH_MS - 1
    await ask()
    expect(edge.looks).toBe(1)
    edge.clock.now = NOW + REFRESH_MS
    let go = () => {}
    const slow = new Promise<void>((resolve) => {
      go = resolve
    })
    edge.attestation = () => slow.then(() => undefined)
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([200, 200, 200])
    expect(edge.looks).toBe(2)
    go()
    await edge.settled()
    edge.clock.now = NOW + KEPT_MS
    expect([await ask(), edge.looks]).toEqual([200, 2])
  })

  it('serves until its time is over while it cannot be asked, and not a moment longer', async () => {
    await ask()
    down()
    edge.clock.now = NOW + KEPT_MS - 1
    expect(await ask()).toBe(200)
    await edge.settled()
    expect(await ask()).toBe(200)
    edge.clock.now = NOW + KEPT_MS
    expect(await ask()).toBe('edge.unverified')
    expect(edge.reached.length).toBe(3)
  })

  it('is given up at once when a look finds bad evidence', async () => {
    await ask()
    edge.clock.now = NOW + REFRESH_MS
    answering(({ document }) => ({ document }))
    expect(await ask()).toBe(200)
    await edge.settled()
    expect(await ask()).toBe('edge.unverified')
  })

  it('is left alone for a moment after a look that failed, and then taken back', async () => {
    down()
    expect([await ask(), await ask(), await ask(), edge.looks]).toEqual([
      ...Array(3).fill('edge.unverified'),
      1,
    ])
    edge.attestation = undefined
    edge.clock.now += PAUSE_MS - 1
    expect([await ask(), edge.looks]).toEqual(['edge.unverified', 1])
    edge.clock.now += 1
    expect([await ask(), edge.looks]).toEqual([200, 2])
  })

  it('is looked at anew when the clock was set back', async () => {
    await ask()
    edge.clock.now = NOW - 1
    expect([await ask(), edge.looks]).toEqual([200, 2])
  })

  it('is looked at by the next request when the one that looked was ended by the runtime', async () => {
    edge.attestation = () => new Promise<Response>(() => {})
    void ask()
    edge.clock.now += 20_000
    edge.attestation = undefined
    expect([await ask(), edge.looks]).toEqual([200, 2])
  })

  it('must verify until the end of the time that it is taken for', async () => {
    const ofCertificates = NOW + 365 * 86_400_000
    edge.clock.now = ofCertificates - KEPT_MS + 1_000
    expect(await ask()).toBe('edge.unverified')
    edge.clock.now = ofCertificates - KEPT_MS - 60_000
    expect(await ask()).toBe(200)
  })

  it('must verify already when it is looked at', async () => {
    const certificatesBegin = NOW - 86_400_000
    edge.clock.now = certificatesBegin - KEPT_MS / 2
    expect([await ask(), edge.reached]).toEqual(['edge.unverified', []])
    edge.clock.now = certificatesBegin + 1_000
    expect(await ask()).toBe(200)
  })

  it('is what health is about', async () => {
    edge.vm = () => Response.json({ ready: true, reason: 'serving' })
    const healthy = await edge.request('/health')
    expect([healthy.status, await healthy.json()]).toEqual([
      200,
      { ready: true, reason: 'serving' },
    ])
    down()
    edge.clock.now = NOW + KEPT_MS
    const ill = await edge.request('/health')
    expect([ill.status, await ill.json()]).toMatchObject([503, { ready: false }])
    expect(edge.reached.length).toBe(1)
  })
})
