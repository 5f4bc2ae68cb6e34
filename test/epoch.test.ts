// Sessions that share a replica's sealed epoch, on a running instance: many at once through both doors, each with its own
// receipt, meter and answer; one that ends badly harms no other; the seal holds while anybody is under it.
// Mutant: `connections: 1` in workload-client.ts (nothing overlaps in the workload). Others: session/epochs.test.ts.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { write } from '@sealed/client'
import {
  checkEpochs,
  fromBase64url,
  laterLeavesOf,
  parseLogEntry,
  unspliceEvents,
  verifyReceipt,
} from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCli } from '../client/src/test-support/cli-double.ts'
import { abortOf, CHAT, eventually, statementOf, statementsOf, World } from './support/instance.ts'
import { Machine } from './support/machine.ts'

const SESSIONS = 8
const REPLICAS = 2
let world: World
let machine: Machine
beforeAll(async () => {
  world = await World.start({
    workload: 'hostile',
    replicas: REPLICAS,
    epoch: { max_ms: 3_600_000, sessions: SESSIONS },
    limits: { activations_ms: 300, caller_sessions: 400, queue: 400, workload_ms: 60_000 },
  })
  machine = new Machine(world)
})
afterAll(() => world?.close())

/** A streamed plain request: resolves when its first event has come. */
async function stream(behave: object, signal?: AbortSignal) {
  const response = await fetch(`${world.url}${CHAT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: world.body('say it', { stream: true, behave }),
    ...(signal && { signal }),
  })
  const reader = response.body!.getReader()
  let text = ''
  const read = async () => {
    const { done, value } = await reader.read()
    if (value) text += new TextDecoder().decode(value, { stream: true })
    return done
  }
  await read()
  return {
    id: response.headers.get('sealed-receipt-id')!,
    salt: fromBase64url(response.headers.get('sealed-salt')!),
    async rest(): Promise<string> {
      while (!(await read())) {}
      return text
    },
  }
}

describe('many at once', () => {
  test('each has a receipt of its own that verifies, and the meters are the sum', async () => {
    const [authority] = world.authorities
    const common = { attested: world.attested, endpoint: CHAT, authority }
    await write({ ...common, body: world.body('count me'), capability: 'counting' })
    const before = (await world.meter('counting')) ?? 0
    const asked = Array.from({ length: 48 }, async (_, i) => {
      if (i % 3 === 0) {
        const { receipt, verdict } = await world.ask('count me')
        expect(verdict.outcome).toBe('verified')
        return receipt
      }
      if (i % 3 === 1) {
        const { status, receipt } = await world.chat('count me')
        expect(status).toBe(200)
        return receipt!
      }
      const { id, rest } = await stream({ name: 'stream-slow', ms: 20 })
      expect(unspliceEvents(new TextEncoder().encode(await rest()))?.receipt).toBe(
        await world.receipt(id),
      )
      return world.receipt(id)
    })
    const receipts = await Promise.all(asked)
    const { document, policy, now } = world.attested
    for (const receipt of receipts) {
      const { checks } = await verifyReceipt({ document, receipt }, policy, now())
      expect(checks.filter(({ result }) => result === 'fail')).toEqual([])
    }
    const kept = receipts.map((receipt) => statementOf(receipt, 'seal.kept'))
    expect(Math.max(...kept.map((one) => one.sessions_overlapping))).toBeGreaterThan(1)
    expect(new Set(kept.map(({ epoch }) => epoch)).size).toBeLessThan(receipts.length)
    // Those that stream said something else.
    const used = receipts.filter((_, i) => i % 3 !== 2).length
    const reading = await world.reading()
    const { millionths } = reading.meters.find(({ capability }) => capability.endsWith('counting'))!
    expect(millionths - before).toBe(
      reading.openings.slice(-receipts.length).reduce((sum, one) => sum + one.millionths, 0),
    )
    expect(millionths - before).toBeGreaterThanOrEqual(used * 1_000_000)
  })

  test('a replica works on as many as its file says, and the next one waits', async () => {
    const held = await holdAll()
    const late = world.chat('one more')
    const receipts = await Promise.all(held.map(({ leave }) => leave()))
    for (const receipt of receipts) expect(abortOf(receipt)).toBe('client.gone')
    const beside = receipts.map((receipt) => sealOf(receipt).sessions_overlapping)
    const each = Array.from({ length: SESSIONS }, (_, i) => i)
    // Those that begin an epoch may see others join before they say so.
    expect(Math.max(...beside)).toBe(SESSIONS - 1)
    for (const count of beside) expect(each).toContain(count)
    expect((await late).status).toBe(200)
  })
})

describe('no other session is harmed', () => {
  test.each<[string, object, string]>([
    ['the workload breaks one off', { name: 'stream-cut' }, 'workload.failed'],
    ['one hands nothing over', { name: 'stream-unmetered' }, 'activations.missing'],
  ])('when %s', async (_, behave, reason) => {
    const others = await Promise.all(
      Array.from({ length: 6 }, () => stream({ name: 'stream-slow', ms: 3_000 })),
    )
    const bad = await stream(behave)
    expect(await bad.rest()).toContain('"error"')
    expect(abortOf(await world.receipt(bad.id))).toBe(reason)
    for (const { rest } of others) expect(await rest()).toContain('[DONE]')
    expect((await world.serving()).status).toBe(200)
  })

  test('when a client leaves, and no replica is replaced for it', async () => {
    const retired = (await world.logged('replica retired')).length
    const others = await Promise.all(
      Array.from({ length: 6 }, () => stream({ name: 'stream-slow', ms: 3_000 })),
    )
    const leaver = new AbortController()
    const left = await stream({ name: 'stream-slow', ms: 60_000 }, leaver.signal)
    leaver.abort()
    expect(abortOf(await world.receipt(left.id))).toBe('client.gone')
    for (const { rest } of others) expect(await rest()).toContain('[DONE]')
    expect((await world.logged('replica retired')).length).toBe(retired)
  })
})

test('a replica that dies ends those that are in it and no others, and both serve again', async () => {
  const held = await holdAll()
  await machine.containers.kill(machine.container(0))
  const first = async () => {
    const ended = await Promise.all(held.map(({ id }) => world.send(`/v1/receipts/${id}`)))
    const there = ended.filter(({ status }) => status === 200)
    return there.length >= SESSIONS ? there.map(({ text }) => text) : undefined
  }
  const lost = await eventually('the sessions of the dead replica to end', first)
  expect(lost.length).toBe(SESSIONS)
  for (const receipt of lost) {
    expect(['replica.lost', 'workload.failed']).toContain(abortOf(receipt))
    expect(sealOf(receipt).replica).toBe(0)
  }
  const receipts = await Promise.all(held.map(({ leave }) => leave()))
  expect(receipts.filter((receipt) => abortOf(receipt) === 'client.gone').length).toBe(SESSIONS)
  await eventually('both replicas', async () => {
    const { workloads } = (await (await fetch(`${world.url}/v1/status`)).json()) as {
      workloads: { replicas_ready: number }[]
    }
    return workloads[0]!.replicas_ready === 2 ? true : undefined
  })
  expect((await world.serving()).status).toBe(200)
})

test('each epoch is in the log, around its sessions', async () => {
  const [bad] = await Promise.all([stream({ name: 'stream-unmetered' }), world.chat('beside it')])
  await bad.rest()
  // In the other replica, or in the one that takes the doubtful one's place.
  await world.serving()
  const cli = await createCli()
  let tries = 0
  try {
    const socket = join(world.instance.paths.runtime, 'embassy', 'admin.sock')
    const found = await eventually('the last epoch to end', async () => {
      const file = `leaves-${tries++}.jsonl`
      const { exit } = await cli.run(['log', 'export', '--out', file, '--socket', socket])
      expect(exit).toBe(0)
      const lines = (await readFile(cli.path(file), 'utf8')).trimEnd().split('\n')
      const leaves = laterLeavesOf(lines.map(parseLogEntry))
      const epochs = checkEpochs(leaves)
      return epochs.open.length === 0 ? { epochs, leaves } : undefined
    })
    const ways = found.leaves.flatMap(({ kind, statements }) => {
      const last = statements.at(-1)!
      return kind === 'epoch' && last.type === 'epoch.ended' ? [last] : []
    })
    expect(ways.length).toBe(found.epochs.ended)
    expect(ways).toContainEqual(expect.objectContaining({ how: 'released' }))
    const doubtful = { how: 'destroyed', reason: 'activations.missing' }
    expect(ways).toContainEqual(expect.objectContaining(doubtful))
  } finally {
    await cli.remove()
  }
})

/** As many streams as there are places, none of which ends by itself. */
async function holdAll() {
  const holding = Array.from({ length: REPLICAS * SESSIONS }, async () => {
    const client = new AbortController()
    const { id } = await stream({ name: 'stream-slow', ms: 100_000 }, client.signal)
    const leave = () => {
      client.abort()
      return world.receipt(id)
    }
    return { id, leave }
  })
  return Promise.all(holding)
}

function sealOf(receipt: string) {
  const found = statementsOf(receipt)[1]!
  if (found.type !== 'seal.enforced' && found.type !== 'seal.joined')
    throw new Error(`no seal in ${found.type}`)
  return found
}
