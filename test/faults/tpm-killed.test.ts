// The TPM killed under the embassy: what was under way fails with a code and is given up by nobody, nothing more is
// revealed until it is back, and a restart counts nothing twice.
// Mutant: without `ensureAble` before the opening in `Sessions` (embassy/src/session/sessions.ts) requests go on being
// revealed although nothing can be proven of them.
import { write } from '@sealed/client'
import { decodeReceipt, toBase64url } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CAPABILITY, SAMPLE } from '../support/failing-session.ts'
import { abortOf, CHAT, eventually, typesOf, World } from '../support/instance.ts'
import { Machine } from '../support/machine.ts'
import { expectRefusal } from '../support/refusals.ts'

let world: World
let machine: Machine
let before: number
/** The session that was revealed when the TPM died. */
let caught: string

beforeAll(async () => {
  world = await World.start({ workload: 'hostile' })
  machine = new Machine(world)
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
  await world.chat(SAMPLE)
  before = (await world.meter(CAPABILITY))!
})
afterAll(() => world?.close())

test('a TPM that hangs: told so in bounded time, and mended without a restart', async () => {
  const tpm = await machine.tpmPid()
  const asked = world.chat(SAMPLE, { behave: { name: 'slow', ms: 500 } })
  const id = await eventually('a session', async () => (await machine.openSessions())[0])
  process.kill(tpm, 'SIGSTOP')
  try {
    const reply = await asked
    expect([reply.status, reply.code]).toEqual([424, 'tpm.failed'])
    expect(reply.headers.get('sealed-receipt-id')).toBe(id)
    expectRefusal(await world.chat(SAMPLE), { status: 503, code: 'embassy.unavailable' })
  } finally {
    process.kill(tpm, 'SIGCONT')
  }
  // Its output was committed to before the TPM was asked: it is counted, and now it can be proven.
  const receipt = await world.receipt(id)
  expect(typesOf(receipt)).toContain('output.committed')
  await world.serving()
  expect(await world.meter(CAPABILITY)).toBe(before + 1_000_000)
  before += 1_000_000
})

test('a session that is revealed when the TPM dies is told so, with the id of its receipt', async () => {
  const asked = world.chat(SAMPLE, { behave: { name: 'slow', ms: 1_500 } })
  caught = await eventually('a session', async () => (await machine.openSessions())[0])
  await machine.kill(await machine.tpmPid())
  const reply = await asked
  expect([reply.status, reply.code]).toEqual([424, 'tpm.failed'])
  expect(reply.headers.get('x-should-retry')).toBe('false')
  expect(reply.headers.get('sealed-receipt-id')).toBe(caught)
  expect(reply.text).not.toContain('"choices"')
})

test('from then on nothing is revealed, at either door, and every caller is told', async () => {
  const open = await machine.openSessions()
  const leaves = await machine.rows('SELECT idx FROM leaves')
  for (let i = 0; i < 3; i++)
    expectRefusal(await world.chat(SAMPLE), { status: 503, code: 'embassy.unavailable' })
  const failure = await world.askToFail(SAMPLE)
  expect([failure.code, failure.evidence?.receipt]).toEqual(['embassy.unavailable', undefined])
  await expect(world.reading()).rejects.toMatchObject({ code: 'embassy.unavailable' })
  expect(await machine.openSessions()).toEqual(open)
  expect(await machine.rows('SELECT idx FROM leaves')).toEqual(leaves)
})

test('it is not ready and proves nothing; what it proved before can still be had', async () => {
  const health = await world.send('/health')
  expect([health.status, JSON.parse(health.text).ready]).toEqual([503, false])
  const nonce = toBase64url(new Uint8Array(32))
  const fresh = await world.send(`/v1/attestation?nonce=${nonce}`)
  expect([fresh.status, fresh.code]).toEqual([503, 'tpm.failed'])
  expect((await world.send('/v1/attestation')).status).toBe(200)
})

test('after a reboot it serves, and the session that was caught counts once at the most', async () => {
  await world.reboot()
  const reading = await world.reading()
  expect(reading.coverage.boots).toBe(2)
  const now = (await world.meter(CAPABILITY))!
  expect([before, before + 1_000_000]).toContain(now)
  const reply = await world.chat(SAMPLE)
  expect(reply.status).toBe(200)
  expect(abortOf(reply.receipt)).toBeUndefined()
  expect(await world.meter(CAPABILITY)).toBe(now + 1_000_000)
  expect(await machine.openSessions()).toEqual([])
  expect(decodeReceipt(reply.receipt!).leaf.session).not.toBe(caught)
})
