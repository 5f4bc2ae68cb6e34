// Envelopes whose parts do not belong together: wrong keys, parts of another envelope, parts replaced under the same
// header. Nothing may be moved, swapped or replaced, whoever made the parts.
// Mutants: without the comparison with the header's digest in `unwrap` (protocol/src/envelope.ts) the wrapped keys of
// another envelope are taken ("swapped", "without the header's digest"); without the digests of the tokens in
// `admitEnvelope` (embassy/src/session/admission.ts) "swapped" is red; without `authenticateToken` in the relay's
// `sealedDoor` "an input under another key" gets a leaf.
import {
  type Bytes,
  concat,
  encryptToken,
  padInstructions,
  randomBytes,
  utf8,
} from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  assemble,
  type Crafted,
  craft,
  foreignKey,
  PART_NAMES,
  type Parts,
  type Recipe,
} from '../support/craft.ts'
import { World } from '../support/instance.ts'
import { expectRefusal, Refusals } from '../support/refusals.ts'

let world: World
const refusals = new Refusals(() => world)
beforeAll(async () => {
  world = await World.start()
  await refusals.begin()
})
afterAll(() => world?.close())

const refused = (code: string) => ({ status: 400, code })
const MISMATCH = refused('envelope.key_mismatch')
const FERNET = refused('fernet.invalid')

describe('parts swapped between two good envelopes', () => {
  // Every mix but the two that are the envelopes themselves.
  const mixes = Array.from({ length: 30 }, (_, i) => i + 1)
  const named = (mix: number) => PART_NAMES.filter((_, bit) => mix & (1 << bit)).join(', ')

  test.each(mixes.map((mix) => [named(mix), mix] as const))('%s of the other', async (_, mix) => {
    const [one, other] = await Promise.all([
      craft(world, { nonce: refusals.nonce, content: 'one' }),
      craft(world, { nonce: refusals.nonce, content: 'other' }),
    ])
    const from = (bit: number) => (mix & (1 << bit) ? other : one).parts
    const parts = Object.fromEntries(
      PART_NAMES.map((name, bit) => [name, from(bit)[name]]),
    ) as unknown as Parts
    const tokensAreOfHeader = from(1).header === from(0).header && from(2).header === from(0).header
    const expected = tokensAreOfHeader ? MISMATCH : refused('envelope.digest_mismatch')
    expectRefusal(await world.post(assemble(parts)), expected)
  })
})

describe('parts swapped within one envelope', () => {
  test('the wrapped keys, the tokens, and both', async () => {
    const swapped = async (good: Crafted, keys: boolean, tokens: boolean) => {
      const { header, input, instructions, input_keys, action_keys } = good.parts
      return assemble({
        header,
        ...(tokens ? { input: instructions, instructions: input } : { input, instructions }),
        ...(keys
          ? { input_keys: action_keys, action_keys: input_keys }
          : { input_keys, action_keys }),
      })
    }
    const make = () => craft(world, { nonce: refusals.nonce })
    expectRefusal(await world.post(await swapped(await make(), true, false)), MISMATCH)
    const digests = refused('envelope.digest_mismatch')
    expectRefusal(await world.post(await swapped(await make(), false, true)), digests)
    expectRefusal(await world.post(await swapped(await make(), true, true)), digests)
  })
})

describe('parts replaced under the same header', () => {
  test('keys that an attacker wrapped for it open nothing', async () => {
    // The header and the tokens are the victim's; whoever reads the header can digest it and wrap keys of their own.
    const victim = await craft(world, { nonce: refusals.nonce })
    const attacker = await craft(world, { headerText: () => victim.headerText })
    const replaced = (...names: (keyof Parts)[]) =>
      assemble({
        ...victim.parts,
        ...Object.fromEntries(names.map((name) => [name, attacker.parts[name]])),
      })
    expectRefusal(await world.post(replaced('input_keys')), FERNET)
    expectRefusal(await world.post(replaced('action_keys')), FERNET)
    expectRefusal(await world.post(replaced('input_keys', 'action_keys')), FERNET)
  })

  test('tokens made anew for it are not those that it names', async () => {
    const victim = await craft(world, { nonce: refusals.nonce })
    for (const name of ['input', 'instructions'] as const) {
      const other = await craft(world)
      const parts = { ...victim.parts, [name]: other.parts[name] }
      expectRefusal(await world.post(assemble(parts)), refused('envelope.digest_mismatch'))
    }
  })
})

describe('a wrong key', () => {
  test('a transport key that is not this embassy’s', async () => {
    await refusals.expect(
      { header: (header) => ({ ...header, key_id: '0'.repeat(64) }) },
      refused('envelope.key_unknown'),
    )
  })

  test('wrapped to another key, or by another hash, under this one’s name', async () => {
    await refusals.expect({ wrapWith: await foreignKey() }, MISMATCH)
    await refusals.expect({ wrapWith: await foreignKey('SHA-1') }, MISMATCH)
  })

  const other = (parts: Bytes[]) => concat(...parts, randomBytes(32))
  test.each<[string, Recipe]>([
    ['input keys without the header’s digest', { inputPlain: (parts) => concat(...parts) }],
    ['input keys with another digest', { inputPlain: other }],
    ['input keys too short', { inputPlain: ([a, b], digest) => concat(a!, b!, digest) }],
    [
      'input keys too long',
      { inputPlain: (parts, digest) => concat(...parts, new Uint8Array(1), digest) },
    ],
    ['no input keys', { inputPlain: () => new Uint8Array(0) }],
    ['an action key without the header’s digest', { actionPlain: (parts) => concat(...parts) }],
    ['an action key with another digest', { actionPlain: other }],
    ['no action key', { actionPlain: (_, digest) => digest }],
  ])('%s', async (_, recipe) => {
    await refusals.expect(recipe, MISMATCH)
  })

  test.each(['input_keys', 'action_keys'] as const)('noise as %s', async (part) => {
    for (const size of [0, 1, 256, 383, 384])
      await refusals.expect(
        (good) =>
          assemble({
            ...good.parts,
            [part]: Buffer.from(randomBytes(size)).toString('base64url'),
          }),
        MISMATCH,
      )
  })

  test('an input under another key', async () => {
    const token = await encryptToken(randomBytes(32), utf8('{}'))
    await refusals.expect({ inputToken: () => token }, FERNET)
  })

  test('instructions under another key', async () => {
    const instructionsToken = () => encryptToken(randomBytes(32), padInstructions(''))
    await refusals.expect({ instructionsToken }, FERNET)
  })

  test('the input key for the instructions too', async () => {
    const recipe: Recipe = {
      inputToken: (token) => token,
      actionPlain: (_, digest) => concat(randomBytes(32), digest),
    }
    await refusals.expect(recipe, FERNET)
  })
})

describe('one changed character of a token', () => {
  test('of the input, wherever it is', async () => {
    for (const at of [0, 1, 8, 30, 60, -20, -3])
      await refusals.expect({ inputToken: (token) => flip(token, at) }, FERNET)
  })

  test('of the instructions', async () => {
    for (const at of [0, 8, 30, 2000, -20])
      await refusals.expect(
        {
          instructionsToken: async (key) => flip(await encryptToken(key, padInstructions('')), at),
        },
        FERNET,
      )
  })

  const flip = (token: string, at: number) => {
    const index = at < 0 ? token.length + at : at
    return `${token.slice(0, index)}${token[index] === 'B' ? 'C' : 'B'}${token.slice(index + 1)}`
  }
})

describe('padding of the instructions', () => {
  test.each<[string, (padded: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>]>([
    ['none at all', () => utf8('{}')],
    ['a block short', (padded) => padded.slice(0, -16)],
    ['a block too long', (padded) => concat(padded, new Uint8Array(16))],
    ['bytes that are not zero', (padded) => padded.fill(1, -1)],
    ['a length beyond the end', (padded) => padded.fill(255, 0, 4)],
    ['text that is no UTF-8', (padded) => padded.fill(255, 4, 5).fill(1, 3, 4)],
  ])('%s', async (_, change) => {
    await refusals.expect(
      { instructionsToken: (key) => encryptToken(key, change(padInstructions(''))) },
      refused('instructions.invalid'),
    )
  })
})

test('an input key is never given up to learn whether a guess was right', async () => {
  // The same code and the same words for every way in which a wrapped key can be wrong.
  const messages = new Set<string>()
  for (const recipe of [
    { inputPlain: () => randomBytes(128) },
    { inputPlain: () => randomBytes(16) },
    { wrapWith: await foreignKey() },
  ] satisfies Recipe[]) {
    const { body } = await craft(world, { nonce: refusals.nonce, ...recipe })
    messages.add((await world.post(body)).text)
  }
  expect(messages.size).toBe(1)
})

refusals.leaveNothing()
