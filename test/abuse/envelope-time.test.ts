// Envelopes that come too late, too early or twice, and envelopes for a machine that is not as the client expects.
// Mutants: without `nonceSeen` and `take` of the nonces under way "a replay" is red (without the second alone the one
// sent ten times at once); `canonicalize(expect) === canonicalize(actual)` as `true` turns every expectation red;
// without both window checks (gateway and embassy) "issued" is.
import { toBase64url } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { craft } from '../support/craft.ts'
import { World } from '../support/instance.ts'
import { expectRefusal, openAnswer, Refusals } from '../support/refusals.ts'

let world: World
const refusals = new Refusals(() => world)
beforeAll(async () => {
  world = await World.start()
})
afterAll(() => world?.close())

const REPLAYED = { status: 400, code: 'envelope.replayed' }

describe('a replay', () => {
  test('of an envelope that was answered is refused, also in a new envelope, also as a reading', async () => {
    const first = await craft(world)
    expect((await world.post(first.body)).status).toBe(200)
    expectRefusal(await world.post(first.body), REPLAYED)
    const anew = await craft(world, { nonce: first.nonce, content: 'something else' })
    expectRefusal(await world.post(anew.body), REPLAYED)
    const made = await world.leavesMadeBy(async () => {
      for (let i = 0; i < 3; i++) expectRefusal(await world.post(first.body), REPLAYED)
    })
    expect(made).toBe(0)
  })

  test('sent ten times at once is answered once', async () => {
    const { body } = await craft(world)
    const made = await world.leavesMadeBy(async () => {
      const replies = await Promise.all(Array.from({ length: 10 }, () => world.post(body)))
      const answered = replies.filter(({ status }) => status === 200)
      expect(answered).toHaveLength(1)
      for (const reply of replies) if (reply !== answered[0]) expectRefusal(reply, REPLAYED)
    })
    expect(made).toBe(1)
  })
})

describe('everything below leaves nothing behind', () => {
  beforeAll(() => refusals.begin())

  const EXPIRED = { status: 400, code: 'envelope.expired', param: 'issued_ms' }
  test.each([
    ['five minutes and a bit ago', -302_000],
    ['a day ago', -86_400_000],
    ['five minutes and a bit ahead', 302_000],
    ['a year ahead', 31_536_000_000],
  ])('issued %s', async (_, offset) => {
    await refusals.expect({ issuedMs: Date.now() + offset }, EXPIRED)
  })

  test('issued at the beginning of time or at its end', async () => {
    for (const issued_ms of [0, Number.MAX_SAFE_INTEGER])
      await refusals.expect({ header: (header) => ({ ...header, issued_ms }) }, EXPIRED)
  })

  test('an input token that is older than its envelope, or from the future', async () => {
    for (const offset of [-310_000, 70_000])
      await refusals.expect(
        { tokenMs: Date.now() + offset },
        { status: 400, code: 'fernet.expired' },
      )
  })

  test.each([
    ['key_set', '0'.repeat(64)],
    ['workload', '0'.repeat(64)],
    ['seal_policy', 'permanent'],
    ['seal_policy', 'epoch'],
    ['metering', 'optional'],
  ])('an expectation of another %s (%s)', async (member, value) => {
    await refusals.expect(
      { header: (header) => ({ ...header, expect: { ...header.expect, [member]: value } }) },
      { status: 400, code: 'envelope.expect_mismatch', param: `expect.${member}` },
    )
  })

  test('an expectation that leaves something open', async () => {
    for (const member of ['key_set', 'workload', 'seal_policy', 'metering']) {
      const leaveOut = (all: Record<string, unknown>) => {
        const { [member]: _, ...rest } = all
        return rest
      }
      await refusals.expect(
        { header: (header) => ({ ...header, expect: leaveOut(header.expect) }) },
        { status: 400, code: 'envelope.invalid' },
      )
    }
  })

  refusals.leaveNothing()
})

test('just inside the window an envelope is answered', async () => {
  for (const offset of [-290_000, 50_000]) {
    const crafted = await craft(world, { issuedMs: Date.now() + offset })
    const reply = await world.post(crafted.body)
    const { head } = await openAnswer(reply, crafted)
    expect(JSON.parse(head!)).toMatchObject({ status: 200 })
  }
})

test('an answer under another response secret, or for another header, opens for nobody', async () => {
  const crafted = await craft(world)
  const reply = await world.post(crafted.body)
  const wrong = { ...crafted, context: { ...crafted.context, responseSecret: new Uint8Array(32) } }
  await expect(openAnswer(reply, wrong)).rejects.toMatchObject({ code: 'response.invalid' })
  const moved = { ...crafted, context: { ...crafted.context, headerDigest: new Uint8Array(32) } }
  await expect(openAnswer(reply, moved)).rejects.toMatchObject({ code: 'response.invalid' })
  for (const at of [0, 40, reply.bytes.length - 1]) {
    const bytes = Uint8Array.from(reply.bytes)
    bytes[at]! ^= 1
    await expect(openAnswer({ ...reply, bytes }, crafted)).rejects.toMatchObject({
      code: 'response.invalid',
    })
  }
  const cut = { ...reply, bytes: reply.bytes.slice(0, -1) }
  await expect(openAnswer(cut, crafted)).rejects.toMatchObject({ code: 'response.truncated' })
  expect(toBase64url(reply.bytes)).not.toContain(toBase64url(crafted.input))
})
