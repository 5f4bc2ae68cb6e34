// SIGKILL of the gateway, the relay, the embassy and a replica, each while a session is revealed. Afterwards the
// instance serves again by itself, the session has a receipt that verifies, no meter has counted it, and the log is the
// one it was.
// Mutants: without `recover()` in embassy.ts the embassy's session has no receipt; without `onLost` of the relay's
// supervisor the relay's has none; without `retire` in `#lost` of fleet.ts the replica's generation stays; without the
// lookup in `abort` of sessions.ts the client never sees the receipt that the embassy wrote first.
import { createHash } from 'node:crypto'
import { write } from '@sealed/client'
import { decodeReceipt, parseAttestationDocument, verifyReceipt } from '@sealed/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Crafted, craft } from '../support/craft.ts'
import { CAPABILITY, replicaOf, SAMPLE } from '../support/failing-session.ts'
import { freePort } from '../support/free-port.ts'
import { abortOf, CHAT, checkpointOf, eventually, typesOf, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { beginSealed, type RawClient } from '../support/raw-http.ts'

let world: World
let machine: Machine
/** Every checkpoint that was ever given out: size and root. */
const checkpoints = new Map<number, string>()

beforeAll(async () => {
  world = await World.start({ workload: 'hostile', port: await freePort() })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterAll(() => world?.close())

interface Held {
  crafted: Crafted
  client: RawClient
  id: string
}

/** A session whose key is revealed and whose workload is at work. */
async function hold(): Promise<Held> {
  const behave = { name: 'slow', ms: 100_000 }
  const crafted = await craft(world, { content: SAMPLE, extra: { behave } })
  const { client, id } = await beginSealed(world.url, crafted.body)
  await machine.revealed(id)
  return { crafted, client, id }
}

async function note(receipt: string): Promise<void> {
  const { checkpoint } = await checkpointOf(decodeReceipt(receipt), world.attested)
  const root = Buffer.from(checkpoint.root).toString('hex')
  expect(checkpoints.get(checkpoint.size) ?? root).toBe(root)
  checkpoints.set(checkpoint.size, root)
}

/** The receipt of a session that ended badly: it verifies against the very envelope, with the document it names. */
async function expectReceipt({ id, crafted }: Held, reason: string): Promise<string> {
  const receipt = await world.receipt(id)
  expect(abortOf(receipt)).toBe(reason)
  expect(typesOf(receipt)).not.toContain('output.committed')
  const named = await world.send(`/v1/attestation/${decodeReceipt(receipt).document}`)
  const evidence = {
    document: parseAttestationDocument(named.bytes),
    receipt,
    request: new TextEncoder().encode(crafted.body),
  }
  const verdict = await verifyReceipt(evidence, await world.policy())
  expect(verdict.checks.filter(({ result }) => result === 'fail')).toEqual([])
  expect(verdict.outcome).toBe('verified')
  await note(receipt)
  return receipt
}

describe('while a session is revealed, SIGKILL of', () => {
  let before: number
  const clients: RawClient[] = []
  const held = async () => {
    before = (await world.meter(CAPABILITY))!
    const session = await hold()
    clients.push(session.client)
    return session
  }
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy()
  })

  /** The world goes on: one more session counts once, on another replica than the one that was lost. */
  const expectRecovery = async (session: Held, lost: string) => {
    const reply = await world.serving()
    expect(replicaOf(reply.receipt!)).not.toBe(replicaOf(lost))
    await note(reply.receipt!)
    expect((await world.post(session.crafted.body)).code).toBe('envelope.replayed')
    expect(await world.meter(CAPABILITY)).toBe(before)
    const counted = await world.chat(SAMPLE)
    await note(counted.receipt!)
    expect(await world.meter(CAPABILITY)).toBe(before + 1_000_000)
    expect(await machine.openSessions()).toEqual([])
  }

  test('the gateway', async () => {
    const session = await held()
    await machine.kill(await machine.gatewayPid())
    await session.client.ended()
    await eventually('the gateway', () => world.send('/health').catch(() => undefined))
    await expectRecovery(session, await expectReceipt(session, 'client.gone'))
  })

  test('the relay', async () => {
    const session = await held()
    await machine.kill(await machine.relayPid())
    // Cut off: nothing that could be taken for the end of an answer.
    expect(await session.client.ended()).not.toMatch(/\r\n0\r\n\r\n$/)
    await expectRecovery(session, await expectReceipt(session, 'relay.lost'))
  })

  test('the relay, at the plain door: told not to send it again', async () => {
    before = (await world.meter(CAPABILITY))!
    const behave = { name: 'slow', ms: 100_000 }
    const reply = world.chat(SAMPLE, { behave })
    const id = await eventually('a session', async () => (await machine.openSessions())[0])
    await machine.kill(await machine.relayPid())
    const { status, code, headers } = await reply
    expect([status, code]).toEqual([424, 'session.aborted'])
    expect(headers.get('x-should-retry')).toBe('false')
    expect(abortOf(await world.receipt(id))).toBe('relay.lost')
    await world.serving()
    expect(await world.meter(CAPABILITY)).toBe(before)
  })

  test('the embassy and its relay', async () => {
    const session = await held()
    const keySet = world.attested.keySetDigest
    await machine.kill(await machine.embassyPid(), await machine.relayPid())
    expect(await session.client.ended()).not.toMatch(/\r\n0\r\n\r\n$/)
    const lost = await expectReceipt(session, 'embassy.restarted')
    // The boot goes on: the same keys, another document.
    expect((await world.attest()).keySetDigest).toBe(keySet)
    const reply = await world.serving()
    await note(reply.receipt!)
    expect(typesOf(lost).at(-1)).toBe('session.aborted')
    expect((await world.post(session.crafted.body)).code).toBe('envelope.replayed')
    expect(await world.meter(CAPABILITY)).toBe(before)
    await note((await world.chat(SAMPLE)).receipt!)
    expect(await world.meter(CAPABILITY)).toBe(before + 1_000_000)
    expect(await machine.openSessions()).toEqual([])
  })

  test('the embassy alone: its relay does not outlive it', async () => {
    const session = await held()
    const relay = await machine.relayPid()
    await machine.kill(await machine.embassyPid())
    await session.client.ended()
    await expectReceipt(session, 'embassy.restarted')
    expect(await machine.relayPid()).not.toBe(relay)
    await world.attest()
    await note((await world.serving()).receipt!)
    expect(await world.meter(CAPABILITY)).toBe(before)
  })

  test('the replica', async () => {
    const session = await held()
    await machine.kill(await machine.workloadPid())
    const lost = await world.receipt(session.id)
    expect(['workload.failed', 'replica.lost']).toContain(abortOf(lost))
    await expectRecovery(session, await expectReceipt(session, abortOf(lost)!))
  })

  test('the replica, when the relay is the last to know', async () => {
    before = (await world.meter(CAPABILITY))!
    const relay = await machine.relayPid()
    const asked = world.askToFail(SAMPLE, { extra: { behave: { name: 'slow', ms: 100_000 } } })
    const id = await eventually('a session', async () => (await machine.openSessions())[0])
    process.kill(relay, 'SIGSTOP')
    try {
      await machine.kill(await machine.workloadPid())
      expect(abortOf(await world.receipt(id))).toBe('replica.lost')
    } finally {
      process.kill(relay, 'SIGCONT')
    }
    const failure = await asked
    expect(failure.status).toBe(424)
    expect(abortOf(failure.evidence?.receipt)).toBe('replica.lost')
    await world.serving()
    expect(await world.meter(CAPABILITY)).toBe(before)
  })
})

describe('while a replica is being born, SIGKILL of the embassy', () => {
  // The engine goes on with what it was asked to do, also when nobody waits for it any more.
  test.each(['pause', 'workload'] as const)('with its %s container under way', async (kind) => {
    await world.serving()
    const reborn = await machine.watch(0, kind, 'reborn')
    await machine.kill(await machine.workloadPid())
    await reborn()
    await machine.kill(await machine.embassyPid())
    await note((await world.serving()).receipt!)
    expect(await machine.openSessions()).toEqual([])
  })
})

test('every checkpoint that was given out is of one and the same log', async () => {
  const [log] = await machine.rows<{ id: number }>('SELECT id FROM logs')
  const rows = await machine.rows<{ leaf: string }>(
    'SELECT leaf FROM leaves WHERE log = ? ORDER BY idx',
    log!.id,
  )
  expect(checkpoints.size).toBeGreaterThanOrEqual(10)
  const leaves = rows.map(({ leaf }) => sha256(Buffer.of(0), Buffer.from(leaf)))
  for (const [size, root] of checkpoints)
    expect(treeHash(leaves.slice(0, size)).toString('hex')).toBe(root)
  const sessions = rows.map(({ leaf }) => (JSON.parse(leaf) as { session?: string }).session)
  expect(new Set(sessions).size).toBe(rows.length)
})

const sha256 = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest()

/** Merkle Tree Hash of RFC 6962, section 2.1, as it stands there. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return sha256(Buffer.of(1), treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)))
}
