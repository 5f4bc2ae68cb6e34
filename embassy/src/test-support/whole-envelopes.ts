// What must always be so of a machine after sessions at its envelope door: nonces, keys, answers and readings.
import {
  decodeReceipt,
  parseReading,
  replayMeters,
  SealedError,
  type SessionLeaf,
  type Statement,
  saltedDigest,
  sessionSalt,
  toHex,
  utf8,
} from '@sealed/protocol'
import { expect } from 'vitest'
import { capabilityOf, type EmbassyWorld, type Machine, originOf } from './embassy-world.ts'
import { EnvelopeClient } from './envelope-client.ts'
import type { SealedAnswer } from './seen.ts'
import type { Whole } from './whole.ts'

const noncesOf = ({ inline }: EmbassyWorld): Set<string> =>
  new Set(inline.rows<{ nonce: string }>('SELECT nonce FROM nonces').map(({ nonce }) => nonce))

/**
 * Sends everything again that was ever sent. What is burned is refused, and what is not was never begun: it is answered
 * as if it had not been sent before.
 */
export async function replay(world: EmbassyWorld): Promise<void> {
  const burned = noncesOf(world)
  const client = new EnvelopeClient(world)
  for (const sent of [...world.machine.seen.sent]) {
    const outcome = await client.send(sent).then(
      ({ status }) => status,
      (error: unknown) => (error instanceof SealedError ? error.code : String(error)),
    )
    expect(outcome).toBe(burned.has(sent.nonce) ? 'envelope.replayed' : sent.status)
  }
}

export async function checkEnvelopes(world: EmbassyWorld, whole: Whole): Promise<void> {
  const { machine } = world
  const { answers, opened, revealed } = machine.seen
  const nonces = noncesOf(world)
  for (const nonce of nonces) expect(opened.has(nonce)).toBe(true)
  const logged = whole.leaves.flatMap(({ statements }) => receivedOf(statements).nonce ?? [])
  expect(new Set(logged).size).toBe(logged.length)
  for (const nonce of logged) expect(nonces.has(nonce)).toBe(true)
  for (const { session, statements } of whole.leaves)
    if (receivedOf(statements).operation === 'read') expect(revealed.has(session)).toBe(false)
  const good = answers.filter(({ status }) => status === 200)
  expect(new Set(good.map(({ sent }) => sent.nonce)).size).toBe(good.length)
  for (const answer of answers)
    if (answer.status === 200) await checkAnswer(machine, answer, whole)
    else checkFailure(answer)
}

/** Nothing but an error, and with it only a receipt that says so. */
function checkFailure({ output, receipt }: SealedAnswer): void {
  expect(Object.keys(JSON.parse(output) as object)).toEqual(['error'])
  if (receipt === undefined) return
  expect(decodeReceipt(receipt).leaf.statements.at(-1)!.type).toBe('session.aborted')
}

async function checkAnswer(machine: Machine, answer: SealedAnswer, whole: Whole): Promise<void> {
  const { context, action, nonce } = answer.sent
  const { index, leaf } = decodeReceipt(answer.receipt!)
  expect(receivedOf(leaf.statements)).toMatchObject({
    header_digest: toHex(context.headerDigest),
    nonce,
    operation: action,
  })
  const digest = await saltedDigest(await sessionSalt(context), utf8(answer.output))
  if (action === 'read') {
    expect(statementOf(leaf, 'registry.read').reading_digest).toBe(digest)
    return checkReading(machine, answer.output, whole.leaves.slice(0, index - 1))
  }
  expect(statementOf(leaf, 'output.committed').output_digest).toBe(digest)
  if (action === 'update') expect(whole.applied).toContain(answer.id)
}

/** A reading is of exactly what the log held before it. */
async function checkReading(
  machine: Machine,
  text: string,
  before: readonly SessionLeaf[],
): Promise<void> {
  const { coverage, meters, next, openings } = parseReading(text)
  const having = (is: (one: Statement) => boolean) =>
    before.filter(({ statements }) => statements.some(is)).map(({ session }) => session)
  const updates = having((one) => one.type === 'registry.applied' && one.operation === 'update')
  const writes = having((one) => one.type === 'registry.applied' && one.operation === 'write')
  const readings = having((one) => one.type === 'registry.read')
  const aborted = having((one) => one.type === 'session.aborted')
  const capability = capabilityOf(machine)
  expect(openings.map(({ session }) => session)).toEqual(updates)
  const { sums } = await replayMeters(before, openings)
  expect(meters).toEqual([{ capability, millionths: sums.get(capability) ?? 0 }])
  expect(coverage).toMatchObject({
    boots: 1,
    origin: originOf(machine),
    registry_version: writes.length,
    rollbacks: 0,
    sessions: before.length - readings.length,
    sessions_unmetered: aborted.length,
  })
  expect(next).toBeUndefined()
}

type Received = Extract<Statement, { type: 'request.received' }>
const receivedOf = (statements: readonly Statement[]) => statements[0] as Received

function statementOf<T extends Statement['type']>({ statements }: SessionLeaf, type: T) {
  return statements.find((one) => one.type === type) as Extract<Statement, { type: T }>
}
