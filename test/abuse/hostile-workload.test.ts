// A workload that crashes, hangs or lies about its answer: what both doors say, what the receipt says, that the replica
// is replaced, and that nothing is metered that was not answered.
// Mutants: without `retire` in `#closeAborted` (embassy/src/session/sessions.ts) a replica that failed serves again;
// without the bound in the relay's `WorkloadClient` "huge" and "endless" are answered; without the workload's deadline
// there "hang" waits for the embassy's own; without the check for `receipt` in `spliceReceipt` a forgery is passed on.
import { write } from '@sealed/client'
import { decodeReceipt } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAPABILITY, Failures, replicaOf, SAMPLE } from '../support/failing-session.ts'
import { abortOf, CHAT, eventually, statementOf, World } from '../support/instance.ts'

const REPLICAS = 2
let world: World
const failures = new Failures(() => world)

beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    replicas: REPLICAS,
    limits: { workload_ms: 2_000, activations_ms: 800, output_bytes: 1_000_000 },
  })
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterAll(() => world?.close())

const FAILED = { code: 'workload.failed', reasons: ['workload.failed'] }
/** It answered that it cannot: no fault of its own, and nothing that was computed. */
const REFUSED = { code: 'workload.failed', reasons: ['workload.refused'] }
const DIED = { code: 'workload.failed', reasons: ['workload.failed', 'replica.lost'] }
const LATE = { code: 'workload.timeout', reasons: ['deadline'] }
const LARGE = { code: 'workload.too_large', reasons: ['workload.too_large'] }

describe('a session fails, at both doors, when the workload', () => {
  test.each([
    ['crash', DIED],
    ['crash-in-answer', DIED],
    ['crash-after-activations', DIED],
    ['hang', LATE],
    ['hang-in-answer', LATE],
    ['hang-deaf', LATE],
    ['truncated', FAILED],
    ['not-http', FAILED],
    ['bad-chunk', FAILED],
    ['upgrade', FAILED],
    ['endless', LARGE],
    ['endless-headers', FAILED],
    ['huge', LARGE],
    ['gzip', FAILED],
    ['gzip-lie', FAILED],
    ['no-such-behaviour', REFUSED],
  ])('does %s', async (behave, expected) => {
    const before = await world.meter(CAPABILITY)
    await Promise.all([failures.plain(behave, expected), failures.sealed(behave, expected)])
    expect(await world.meter(CAPABILITY)).toBe(before)
  })
})

/** By how much the sample's meter moves while `work` runs. */
async function metered(work: () => Promise<unknown>): Promise<number> {
  const before = (await world.meter(CAPABILITY))!
  await work()
  return (await world.meter(CAPABILITY))! - before
}

describe('a session is answered, and metered once, when the workload', () => {
  test.each<[string, unknown]>([
    ['behaves', undefined],
    ['is slow', { name: 'slow', ms: 300 }],
    ['says more than it promised', 'overlong'],
    ['sends an answer that nobody asked for after it', 'two-answers'],
    ['sends early hints', 'informational'],
    ['answers no JSON', 'not-json'],
    ['answers no object', 'array'],
    ['answers no UTF-8', 'not-utf8'],
  ])('%s', async (_, behave) => {
    const once = await metered(async () => {
      const reply = await world.chat(SAMPLE, { behave })
      expect(reply.status).toBe(200)
      const receipt = await world.receipt(reply.headers.get('sealed-receipt-id')!)
      expect(statementOf(receipt, 'output.committed').status).toBe(200)
      failures.expectFresh(receipt)
    })
    expect(once).toBe(1_000_000)
    const again = await metered(async () => {
      const answer = await world.ask(SAMPLE, { extra: { behave } })
      expect(answer.verdict.outcome).toBe('verified')
    })
    expect(again).toBe(1_000_000)
    // What it left on its connection is not the next session's answer.
    const next = await world.chat(SAMPLE)
    expect(JSON.parse(next.text)).toMatchObject({ choices: [{ message: { content: 'ok' } }] })
  })

  test.each([400, 404, 422, 302])('refuses with %i, which is passed on', async (status) => {
    const behave = { name: 'status', status }
    const reply = await world.chat(SAMPLE, { behave })
    expect(reply.status).toBe(status)
    expect(reply.headers.get('x-should-retry')).toBe('false')
    const receipt = await world.receipt(reply.headers.get('sealed-receipt-id')!)
    expect(statementOf(receipt, 'output.committed').status).toBe(status)
    expect((await world.ask(SAMPLE, { extra: { behave } })).status).toBe(status)
  })

  test.each([408, 429, 500, 503])('fails with %i, which no SDK may see', async (status) => {
    const behave = { name: 'status', status }
    const reply = await world.chat(SAMPLE, { behave })
    expect(reply.status).toBe(424)
    expect(reply.headers.get('sealed-workload-status')).toBe(String(status))
    expect(reply.headers.get('x-should-retry')).toBe('false')
    expect((await world.ask(SAMPLE, { extra: { behave } })).status).toBe(status)
  })
})

describe('a workload that writes what only the gateway may', () => {
  test.each(['forged-receipt', 'forged-receipt-twice'])(
    '%s: withheld at the plain door, bytes like any at the other',
    async (behave) => {
      const once = await metered(async () => {
        const reply = await world.chat(SAMPLE, { behave })
        expect([reply.status, reply.code]).toEqual([424, 'workload.failed'])
        expect(reply.headers.get('x-should-retry')).toBe('false')
        expect(reply.text).not.toContain('Zm9yZ2Vk')
        const receipt = await world.receipt(reply.headers.get('sealed-receipt-id')!)
        expect(statementOf(receipt, 'response.released').to).toBe('gateway')
      })
      expect(once).toBe(1_000_000)
      const sealed = await world.ask(SAMPLE, { extra: { behave } })
      expect(sealed.verdict.outcome).toBe('verified')
      expect(decodeReceipt(sealed.receipt).leaf.session).toBe(sealed.receiptId)
    },
  )

  test('its headers stay inside', async () => {
    const reply = await world.chat(SAMPLE, { behave: 'forged-headers' })
    expect(reply.status).toBe(200)
    const { session } = decodeReceipt(reply.receipt!).leaf
    expect(reply.headers.get('sealed-receipt-id')).toBe(session)
    for (const name of ['sealed-nonce', 'set-cookie', 'access-control-allow-origin'])
      expect(reply.headers.has(name)).toBe(false)
  })
})

test('one that dies after its answer: a receipt, and a new replica', async () => {
  const reply = await world.chat(SAMPLE, { behave: 'crash-after-answer' })
  const receipt = await world.receipt(reply.headers.get('sealed-receipt-id')!)
  // Whichever came first, the commit or the end of the container, is what the log says.
  if (reply.status === 200) expect(abortOf(receipt)).toBeUndefined()
  else expect([reply.status, abortOf(receipt)]).toEqual([424, 'replica.lost'])
  const died = replicaOf(receipt)
  failures.spent.add(died)
  for (let i = 0; i < 4; i++) failures.expectFresh((await world.serving()).receipt!)
})

test('after all that every replica is a new one, and each failed session is counted as unmetered', async () => {
  const behave = { name: 'slow', ms: 1_000 }
  // As many at once as there are replicas: each of them answers, as soon as the last one has been replaced.
  const replies = await eventually('an answer of every replica', async () => {
    const asked = Array.from({ length: REPLICAS }, () => world.chat(SAMPLE, { behave }))
    const answered = await Promise.all(asked)
    const served = new Set(answered.map(({ receipt }) => replicaOf(receipt!)))
    return served.size === REPLICAS ? answered : undefined
  })
  for (const { receipt } of replies) failures.expectFresh(receipt!)
})
