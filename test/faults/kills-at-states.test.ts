// SIGKILL of embassy, relay, gateway and replica in the states of a session that a waiting workload alone does not show: waiting
// for a replica, its opening on disk and not yet in the TPM, its commit under way, its leaf on disk and not yet proven.
// The software TPM is held by SIGSTOP where a state would pass too quickly. Nobody hangs; there is one leaf at most, one
// exactly where an input was revealed, and it counts once exactly where its leaf says that an output was committed to.
// Mutants: without the counter's roll-forward in `#settle` (embassy/src/ledger/ledger.ts) the embassy killed before a step
// is in the TPM does not start again (the chain's: syscalls.test.ts); without `recover()` a session whose commit was under way has no leaf.
import { write } from '@sealed/client'
import { randomBytes, toBase64url } from '@sealed/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { craft } from '../support/craft.ts'
import { CAPABILITY, SAMPLE } from '../support/failing-session.ts'
import { freePort } from '../support/free-port.ts'
import { CHAT, eventually, typesOf, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { beginSealed, type RawClient } from '../support/raw-http.ts'

let world: World
let machine: Machine
const clients: RawClient[] = []
let letGo = () => {}

beforeAll(async () => {
  const limits = { activations_ms: 8_000 }
  world = await World.start({ workload: 'hostile', port: await freePort(), limits })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
})
afterEach(() => {
  letGo()
  for (const client of clients.splice(0)) client.destroy()
})
afterAll(() => world?.close())

async function begin(behave: unknown): Promise<{ id: string; client: RawClient }> {
  const { body } = await craft(world, { content: SAMPLE, extra: { behave } })
  const begun = await beginSealed(world.url, body)
  clients.push(begun.client)
  return begun
}

/** Stops the TPM until `letGo`. */
async function holdTpm(): Promise<void> {
  const pid = await machine.tpmPid()
  process.kill(pid, 'SIGSTOP')
  letGo = () => {
    letGo = () => {}
    process.kill(pid, 'SIGCONT')
  }
}

const leavesOf = (id: string) => machine.rows('SELECT idx FROM leaves WHERE session = ?', id)

/** Each brings a session into its state; says how many leaves it may end with. */
const STATES: Record<string, () => Promise<{ id: string; leaves: readonly number[] }>> = {
  'waits for a replica': async () => {
    const { id: first } = await begin({ name: 'slow', ms: 100_000 })
    await machine.revealed(first)
    const { id } = await begin('activations-none')
    return { id, leaves: [0] }
  },
  // The TPM may find the command in its socket when it goes on: then the key might have been revealed.
  'is begun on disk and not in the TPM': async () => {
    await holdTpm()
    const { id } = await begin('activations-none')
    await machine.revealed(id)
    return { id, leaves: [0, 1] }
  },
  'is being committed to': async () => {
    const { id } = await begin({ name: 'activations-late', ms: 4_000 })
    await machine.revealed(id)
    return { id, leaves: [1] }
  },
  'has a leaf and no proof': async () => {
    const { id } = await begin({ name: 'slow', ms: 1_500 })
    await machine.revealed(id)
    // The TPM does one thing after the other: once it has quoted for somebody twice, the opening is in its chain.
    for (let i = 0; i < 2; i++)
      await world.send(`/v1/attestation?nonce=${toBase64url(randomBytes(32))}`)
    await holdTpm()
    await eventually('its leaf', async () => (await leavesOf(id))[0])
    return { id, leaves: [1] }
  },
}

const VICTIMS: Record<string, () => Promise<number>> = {
  'the embassy': () => machine.embassyPid(),
  'the relay': () => machine.relayPid(),
  'the gateway': () => machine.gatewayPid(),
  'the replica': () => machine.workloadPid(),
}

describe.each(Object.keys(STATES))('a session that %s', (state) => {
  test.each(Object.keys(VICTIMS))('when SIGKILL ends %s', async (victim) => {
    await world.serving()
    const before = (await world.meter(CAPABILITY))!
    const { id, leaves } = await STATES[state]!()
    await machine.kill(await VICTIMS[victim]!())
    letGo()
    for (const client of clients) await client.until(/\r\n0\r\n\r\n$/)
    await world.serving()
    await world.attest()
    await eventually('the end of every session', async () =>
      (await machine.openSessions()).length === 0 ? true : undefined,
    )
    const ended = (await leavesOf(id)).length
    // Who waits while the replica of another one dies gets the next replica, and then a leaf of its own.
    const goesOn = victim === 'the replica' && state === 'waits for a replica'
    expect(goesOn ? [1] : leaves).toContain(ended)
    const counted =
      ended === 1 && typesOf(await world.receipt(id)).includes('output.committed') ? 1_000_000 : 0
    expect((await world.meter(CAPABILITY))! - before).toBe(counted)
    if (state === 'has a leaf and no proof') expect(counted).toBe(1_000_000)
  })
})
