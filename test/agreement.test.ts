// Two verifiers, one verdict: ours and the one that was written in Python from SPEC.md judge evidence of a running
// instance, honest and spoiled in every member, and agree on each check.
import {
  decodeReceipt,
  parseAttestationAnswer,
  randomBytes,
  sessionSalt,
  toBase64url,
  unspliceReceipt,
  utf8,
} from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Bundle } from '../protocol/src/vectors/bundle.ts'
import { ourJudgement, spoil, theirJudgements } from './support/bundle.ts'
import { craft } from './support/craft.ts'
import { World } from './support/instance.ts'
import { openAnswer } from './support/refusals.ts'

/** Some nine hundred bundles a door, judged twice, on however busy a machine. */
const PATIENCE_MS = 600_000

let world: World
beforeAll(async () => {
  world = await World.start()
})
afterAll(() => world?.close())

/** What every bundle of this instance holds, a fresh challenge included. */
async function evidence() {
  const nonce = toBase64url(randomBytes(32))
  const { bytes } = await world.send(`/v1/attestation?nonce=${nonce}`)
  const { challenge, document } = parseAttestationAnswer(bytes)
  const policy = await world.policy()
  return { challenge: { nonce, answer: challenge! }, document, now_ms: Date.now(), policy }
}

async function throughEnvelope(): Promise<Bundle> {
  const sent = await craft(world, { content: 'for two verifiers' })
  const { data, final } = await openAnswer(await world.post(sent.body), sent)
  return {
    ...(await evidence()),
    receipt: JSON.parse(final!).receipt,
    request: toBase64url(utf8(sent.body)),
    salt: toBase64url(await sessionSalt(sent.context)),
    output: toBase64url(utf8(data!)),
  }
}

async function throughPlainDoor(): Promise<Bundle> {
  const nonce = toBase64url(randomBytes(32))
  const reply = await world.chat('in the clear', {}, { headers: { 'sealed-nonce': nonce } })
  const { output, receipt } = unspliceReceipt(reply.bytes)!
  return {
    ...(await evidence()),
    receipt,
    input: toBase64url(world.body('in the clear')),
    nonce,
    salt: reply.headers.get('sealed-salt')!,
    output: toBase64url(output),
  }
}

for (const [door, ask] of [
  ['envelope', throughEnvelope],
  ['plain', throughPlainDoor],
] as const)
  test(
    `both verify what came through the ${door} door, and agree on every way to spoil it`,
    async () => {
      const honest = await ask()
      const opened = { ...honest, receipt: decodeReceipt(honest.receipt as string) }
      const spoiled = [{ what: 'nothing', bundle: honest }, ...spoil(opened)]
      const theirs = await theirJudgements(spoiled.map(({ bundle }) => bundle))
      const outcomes = new Map<string, number>()
      for (const [i, { what, bundle }] of spoiled.entries()) {
        const ours = await ourJudgement(bundle)
        expect.soft(theirs[i], what).toEqual(ours)
        const outcome = ours?.outcome ?? 'no policy'
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
      expect(theirs[0]!.outcome).toBe('verified')
      // The spoiling spoils: most of it fails, and none of it goes unjudged.
      expect(spoiled.length).toBeGreaterThan(500)
      expect(outcomes.get('failed')).toBeGreaterThan(spoiled.length / 2)
    },
    PATIENCE_MS,
  )
