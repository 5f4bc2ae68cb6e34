// The gateway as a Worker in front of a running instance: clients seal, stream and verify through it, it reads nothing,
// and it forwards nothing to a machine that does not verify.
import { ask, attest, createSealedFetch, verdictOf } from '@sealed/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { abortOf, CHAT, World } from './support/instance.ts'
import { dryRun, type RunningWorker, startWorker } from './support/worker.ts'

let world: World
let edge: RunningWorker
beforeAll(async () => {
  world = await World.start({ workload: 'hostile', limits: { workload_ms: 30_000 } })
  edge = await start()
})
afterAll(async () => {
  await edge?.stop()
  await world?.close()
})

/** An edge in front of the instance, unless told otherwise. */
async function start(more: { origin?: string; policy?: object } = {}): Promise<RunningWorker> {
  return startWorker(more.origin ?? world.url, { ...(await world.policy()), ...more.policy })
}
const sealedFetch = async () =>
  createSealedFetch({ gateway: edge.url, policy: await world.policy() })
const request = (extra: Record<string, unknown> = {}, signal?: AbortSignal) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: world.body('say it', extra),
  ...(signal && { signal }),
})

test('wrangler would deploy it, without a warning', async () => {
  const said = await dryRun()
  expect(said).toContain('--dry-run: exiting now')
  expect(said).not.toMatch(/warning|error/i)
})

describe('through an edge', () => {
  test('a client attests, asks, and verifies, and the edge says what it checked', async () => {
    const policy = await world.policy()
    const attested = await attest({ url: edge.url, policy })
    const { verdict } = await ask({ attested, endpoint: CHAT, body: world.body('say it') })
    expect(verdict.outcome).toBe('verified')
    const models = await fetch(`${edge.url}/v1/models`)
    expect(models.headers.get('sealed-edge-attestation')).toMatch(
      new RegExp(`^${world.attested.documentDigest}; verified; [0-9a-f]{64}$`),
    )
  })

  test('answers come whole and as streams', async () => {
    const fetch = await sealedFetch()
    const whole = await fetch(`${edge.url}${CHAT}`, request())
    expect(((await whole.json()) as { choices: unknown[] }).choices.length).toBe(1)
    expect((await verdictOf(whole)).outcome).toBe('verified')
    const slow = { name: 'stream-slow', ms: 700 }
    const streamed = await fetch(`${edge.url}${CHAT}`, request({ stream: true, behave: slow }))
    const reader = streamed.body!.getReader()
    const first = new TextDecoder().decode((await reader.read()).value)
    expect(first).toContain('first')
    expect(first).not.toContain('second')
    let rest = ''
    for (let next = await reader.read(); !next.done; next = await reader.read())
      rest += new TextDecoder().decode(next.value)
    expect(rest).toContain('second')
    expect((await verdictOf(streamed)).outcome).toBe('verified')
  })

  test('a client that leaves ends its session', async () => {
    const client = new AbortController()
    const fetch = await sealedFetch()
    const slow = { name: 'stream-slow', ms: 25_000 }
    const streamed = await fetch(
      `${edge.url}${CHAT}`,
      request({ stream: true, behave: slow }, client.signal),
    )
    await streamed.body!.getReader().read()
    client.abort()
    const receipt = await world.receipt(streamed.headers.get('sealed-receipt-id')!)
    expect(abortOf(receipt)).toBe('client.gone')
    await world.serving()
  })

  test('receipts, log and status are those of the machine', async () => {
    const reply = await world.chat('say it')
    const id = reply.headers.get('sealed-receipt-id')!
    for (const path of [`/v1/receipts/${id}`, `/v1/attestation/${world.attested.documentDigest}`]) {
      const [there, here] = await Promise.all([world.url, edge.url].map((url) => fetch(url + path)))
      expect(await here!.text()).toBe(await there!.text())
    }
    const checkpoint = await (await fetch(`${edge.url}/log/checkpoint`)).text()
    expect(checkpoint).toContain('\nstate ')
    const status = await fetch(`${edge.url}/v1/status`)
    expect(await status.json()).toMatchObject({ workloads: [{ name: 'hostile' }] })
  })

  test('a prompt in clear is refused and reaches nobody', async () => {
    const made = await world.leavesMadeBy(async () => {
      const refused = await fetch(`${edge.url}${CHAT}`, request())
      const { error } = (await refused.json()) as { error: { code: string } }
      expect([refused.status, error.code]).toEqual([400, 'request.unsupported'])
    })
    expect(made).toBe(0)
  })
})

describe('an edge forwards nothing', () => {
  const refusal = async ({ url }: RunningWorker) => {
    const response = await fetch(`${url}/v1/models`)
    const { error } = (await response.json()) as { error: { code: string } }
    return [response.status, error.code]
  }

  test('to a machine that its policy does not accept', async () => {
    const strict = await start({ policy: { workloads: ['00'.repeat(32)] } })
    try {
      expect(await refusal(strict)).toEqual([503, 'edge.unverified'])
      const client = createSealedFetch({ gateway: strict.url, policy: await world.policy() })
      const made = await world.leavesMadeBy(async () => {
        const failed = await client(`${strict.url}${CHAT}`, request()).catch((error) => error)
        expect(failed instanceof Error || !(failed as Response).ok).toBe(true)
      })
      expect(made).toBe(0)
    } finally {
      await strict.stop()
    }
  })

  test('to one that does not answer, and says when to come again', async () => {
    const alone = await start({ origin: 'http://127.0.0.1:9' })
    try {
      expect(await refusal(alone)).toEqual([503, 'edge.unverified'])
      const again = await fetch(`${alone.url}/v1/models`)
      expect(Number(again.headers.get('retry-after'))).toBeGreaterThan(0)
      expect((await fetch(`${alone.url}/health/ready`)).status).toBe(503)
    } finally {
      await alone.stop()
    }
  })
})
