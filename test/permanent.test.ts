// Seal policy `permanent` on a running instance: a client's replica is its own, stays sealed, and is gone at its end.
// Mutants: embassy/src/session/permanent.test.ts.
import { randomBytes } from 'node:crypto'
import { ask, createSealedFetch } from '@sealed/client'
import { decodeReceipt } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHAT, statementOf, World } from './support/instance.ts'
import { Machine } from './support/machine.ts'

let world: World
const start = (epoch: { idle_ms: number; max_ms: number }, replicas: number) =>
  World.start({ workload: 'noop', replicas, epoch: { ...epoch, sessions: 2 }, permanent: true })
beforeAll(async () => {
  world = await start({ idle_ms: 3_600_000, max_ms: 3_600_000 }, 3)
})
afterAll(() => world?.close())

const asking = (tenantSecret: Uint8Array, attested = world.attested) =>
  ask({ attested, endpoint: CHAT, body: world.body('say it'), tenantSecret })
const seat = (receipt: string) => {
  const { replica, generation } = decodeReceipt(receipt).leaf.statements[1] as {
    replica: number
    generation: number
  }
  return `${replica}.${generation}`
}

test('two clients have a replica each, to which they come back', async () => {
  const [one, other] = [randomBytes(32), randomBytes(32)]
  const first = await Promise.all([asking(one), asking(other)])
  expect(first.map(({ verdict }) => verdict.outcome)).toEqual(['verified', 'verified'])
  const again = await Promise.all([asking(other), asking(one)])
  const [a, b] = first.map(({ receipt }) => seat(receipt))
  expect(again.map(({ receipt }) => seat(receipt))).toEqual([b, a])
  expect(a).not.toBe(b)
  const joined = statementOf(again[0]!.receipt, 'seal.joined')
  expect(joined).toMatchObject({ policy: 'permanent', tenants: 1 })
  expect(statementOf(again[0]!.receipt, 'seal.kept').epoch).toBe(joined.epoch)
})

test('the sealed fetch comes back to one replica; a plain request is refused by name', async () => {
  const fetch = createSealedFetch({ gateway: world.url, policy: await world.policy() })
  const say = async () => {
    const response = await fetch(`${world.url}${CHAT}`, { method: 'POST', body: world.body('hi') })
    expect(response.status).toBe(200)
    return seat(await world.receipt(response.headers.get('sealed-receipt-id')!))
  }
  expect(await say()).toBe(await say())
  const { status, code } = await world.chat('say it')
  expect([status, code]).toEqual([400, 'request.unsupported'])
})

test('a replica is destroyed when its time is over, and its client finds another', async () => {
  const short = await start({ idle_ms: 10, max_ms: 1_000 }, 1)
  try {
    const reborn = await new Machine(short).watch(0, 'workload', 'reborn')
    const mine = randomBytes(32)
    const first = await asking(mine, short.attested)
    await reborn()
    const again = await asking(mine, short.attested)
    expect(seat(again.receipt)).not.toBe(seat(first.receipt))
    expect(statementOf(again.receipt, 'seal.enforced').epoch).not.toBe(
      statementOf(first.receipt, 'seal.enforced').epoch,
    )
  } finally {
    await short.close()
  }
})
