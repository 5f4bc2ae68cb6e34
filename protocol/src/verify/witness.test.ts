// What witnesses make of a receipt: forks looked for, time bounded, and every way to make it seem so without them.
import { beforeAll, describe, expect, it } from 'vitest'
import type { Bytes } from '../bytes.ts'
import type { Checkpoint } from '../checkpoint.ts'
import type { Policy } from '../policy.ts'
import { parsePolicy } from '../policy.ts'
import { decodeReceipt } from '../receipt.ts'
import type { Statement } from '../statement.ts'
import type { TlogProof } from '../tlog-proof.ts'
import { failures, Scene } from './test-scene.ts'
import { makeInput } from './test-session.ts'
import { createWitness, makeProof, type ProofLies, type TestWitness } from './test-witness.ts'
import { NOW } from './test-world.ts'
import type { ReceiptInput, Verdict } from './verify-receipt.ts'

let scene: Scene
let one: TestWitness
let two: TestWitness
let stranger: TestWitness
let input: ReceiptInput
beforeAll(async () => {
  scene = await Scene.create()
  ;[one, two, stranger] = await Promise.all([
    createWitness('witness.example/one'),
    createWitness('witness.example/two'),
    createWitness('witness.example/three'),
  ])
  input = await makeInput(scene.world, scene.completed)
})

const both = async (body: string) => (await one.cosign(body)) + (await two.cosign(body))
const witnesses = (quorum: number) => ({ witnesses: { keys: [one.key, two.key], quorum } })

async function judge(
  lies: ProofLies,
  given: { quorum?: number; policy?: Partial<Policy>; sentMs?: number; now?: number } = {},
): Promise<Verdict> {
  const proof = await makeProof(scene.world, decodeReceipt(input.receipt), lies)
  const { now, policy = witnesses(given.quorum ?? 2), sentMs } = given
  return scene.judge({
    input: { ...input, proof, ...(sentMs !== undefined && { sentMs }) },
    policy,
    ...(now !== undefined && { now }),
  })
}
const forkOf = (verdict: Verdict) => verdict.checks.find(({ id }) => id === 'receipt.fork')!
const timeOf = (verdict: Verdict) => verdict.checks.find(({ id }) => id === 'receipt.time')!

describe('a proof that a quorum cosigned', () => {
  it('makes the receipt witnessed', async () => {
    const verdict = await judge({ lines: both })
    expect(forkOf(verdict)).toMatchObject({ result: 'pass', required: true })
    expect(forkOf(verdict).reason).toContain('witness.example/one, witness.example/two')
    expect(verdict).toMatchObject({ outcome: 'verified', claims: { fork: 'witnessed' } })
  })

  it('needs no more than the quorum, and none beside it to be known', async () => {
    for (const lines of [one.cosign, two.cosign])
      expect(forkOf(await judge({ lines }, { quorum: 1 })).result).toBe('pass')
    const lines = async (body: string) => (await stranger.cosign(body)) + (await both(body))
    expect(forkOf(await judge({ lines })).result).toBe('pass')
  })

  it('is enough where the policy asks for none: one witness will do', async () => {
    const verdict = await judge({ lines: one.cosign }, { quorum: 0 })
    expect(forkOf(verdict)).toMatchObject({ result: 'pass', required: false })
  })

  it('may be over the receipt’s own checkpoint size', async () => {
    const hashes = (all: unknown[]) => void all.splice(11)
    expect(forkOf(await judge({ hashes, lines: both })).result).toBe('pass')
  })
})

describe('too few witnesses', () => {
  const never: [string, ProofLies['lines']][] = [
    ['nobody', async () => ''],
    ['one of two', (body) => one.cosign(body)],
    [
      'one, twice',
      async (body) => (await one.cosign(body)) + (await one.cosign(body, NOW / 1000 + 1)),
    ],
    [
      'one and a stranger',
      async (body) => (await one.cosign(body)) + (await stranger.cosign(body)),
    ],
  ]
  it.each(never)('leave the verdict incomplete: %s', async (_who, lines) => {
    const verdict = await judge(lines ? { lines } : {})
    expect(forkOf(verdict)).toMatchObject({ result: 'skip', required: true })
    expect(verdict).toMatchObject({ outcome: 'incomplete', claims: { fork: 'skipped' } })
  })

  it('are a skip with its reason where none is required', async () => {
    const verdict = await judge({}, { quorum: 0 })
    expect(forkOf(verdict)).toMatchObject({ result: 'skip', required: false })
    expect(verdict.outcome).toBe('verified')
    const unnamed = await judge({ lines: both }, { policy: {} })
    expect(forkOf(unnamed)).toMatchObject({ result: 'skip', required: false })
    expect(unnamed.claims.fork).toBe('skipped')
  })

  it('are what a receipt without a proof has', async () => {
    const verdict = await scene.judge({ input, policy: witnesses(1) })
    expect(forkOf(verdict)).toMatchObject({ result: 'skip', reason: 'no tlog-proof was given' })
    expect(verdict.outcome).toBe('incomplete')
  })
})

describe('a lie', () => {
  const signed = (more: Partial<Checkpoint>): ProofLies => ({
    checkpoint: (checkpoint) => void Object.assign(checkpoint, more),
  })
  const told = (change: (proof: TlogProof) => Partial<TlogProof>): ProofLies => ({
    proof: (proof) => void Object.assign(proof, change(proof)),
  })
  const grown = (hashes: (all: Bytes[]) => Bytes[]): ProofLies => ({
    hashes: (all) => void all.splice(0, all.length, ...hashes([...all])),
  })
  const lies: [string, ProofLies][] = [
    ['a leaf that is not in the tree', grown((all) => all.with(5, all[4]!))],
    ['leaves in another order', grown((all) => all.with(5, all[6]!).with(6, all[5]!))],
    ['another index', told(() => ({ index: 4 }))],
    ['the same leaf at another place', { ...grown((all) => all.with(7, all[5]!)), index: 7 }],
    ['a path too long', told(({ path }) => ({ path: [...path, path[0]!] }))],
    ['a path too short', told(({ path }) => ({ path: path.slice(1) }))],
    ['a log cut to less than the leaf', signed({ size: 5 })],
    ['another size', signed({ size: 17 })],
    ['another log', signed({ origin: 'sealed/ffffffffffffffff' })],
    ['another attestation key', signed({ akName: `000b${'cd'.repeat(32)}` })],
    ['another boot', signed({ resetCount: 8 })],
    ['another restart', signed({ restartCount: 2 })],
    ['a counter that stood still while the log grew', signed({ counter: 9n })],
    ['two roots of one size', grown((all) => all.slice(0, 11).with(9, all[8]!))],
    [
      'no signature of the log',
      told(({ checkpoint }) => ({ checkpoint: checkpoint.replace(/— sealed.*\n/, '') })),
    ],
    [
      'a body changed after it was signed',
      told(({ checkpoint }) => ({ checkpoint: checkpoint.replace('counter 10', 'counter 11') })),
    ],
    ['text that is no checkpoint', told(() => ({ checkpoint: 'x' }))],
  ]
  it.each(lies)('of the log fails, whoever cosigned it: %s', async (_what, lie) => {
    for (const quorum of [0, 2]) {
      const verdict = await judge({ lines: both, ...lie }, { quorum })
      expect(failures(verdict)).toEqual(['receipt.fork'])
      expect(verdict.claims).toMatchObject({ fork: 'skipped', time: 'claimed' })
    }
  })

  it('of the log fails also where the policy names no witness', async () => {
    for (const [, lie] of lies)
      expect(failures(await judge(lie, { policy: {} }))).toEqual(['receipt.fork'])
  })

  it('of a witness fails: wrong signature, wrong body, time to come', async () => {
    const wrong: ProofLies['lines'][] = [
      (body) => one.cosign(body.replace('counter 10', 'counter 11')),
      async (body) => (await both(body)) + (await one.cosign(`${body}x\n`)),
      (body) => one.cosign(body, NOW / 1000 + 600),
      async (body) => (await two.cosign(body)) + (await one.cosign(body, 2 ** 53)),
    ]
    for (const lines of wrong)
      expect(failures(await judge({ lines: lines! }, { quorum: 1 }))).toEqual(['receipt.fork'])
  })

  it('of text fails, and never throws', async () => {
    for (const proof of ['', 'x', 'c2sp.org/tlog-proof@v1\nindex 5\n\n', 7, null, {}])
      expect(
        failures(
          await scene.judge({ input: { ...input, proof } as ReceiptInput, policy: witnesses(1) }),
        ),
      ).toEqual(['receipt.fork'])
  })
})

describe('time', () => {
  const SENT = NOW - 3_000

  it('is bounded by the verifier’s own nonce below and a witness above', async () => {
    const verdict = await judge({ lines: both }, { sentMs: SENT })
    expect(timeOf(verdict)).toMatchObject({ result: 'pass' })
    expect(timeOf(verdict).reason).toContain('bounded')
    expect(verdict.claims).toMatchObject({ time: 'bounded', from_ms: SENT, until_ms: NOW + 1000 })
  })

  it('is claimed while one bound is missing', async () => {
    expect((await judge({ lines: both })).claims).toMatchObject({
      time: 'claimed',
      until_ms: NOW + 1000,
    })
    expect((await judge({}, { quorum: 0, sentMs: SENT })).claims).toMatchObject({
      time: 'claimed',
      from_ms: SENT,
    })
    const proof = await makeProof(scene.world, decodeReceipt(input.receipt), { lines: both })
    const { receipt, document } = input
    const stranger = await scene.judge({
      input: { receipt, document, proof, sentMs: SENT },
      policy: witnesses(2),
    })
    expect(stranger.outcome).toBe('verified')
    expect(stranger.claims).toMatchObject({ time: 'claimed', fork: 'witnessed' })
    expect(stranger.claims).not.toHaveProperty('from_ms')
  })

  it('is bounded by the time that a quorum vouches for, not by the first to say so', async () => {
    const lines = async (body: string) =>
      (await one.cosign(body, NOW / 1000 - 50)) + (await two.cosign(body, NOW / 1000))
    const verdict = await judge({ lines }, { sentMs: SENT })
    expect(verdict.claims.until_ms).toBe(NOW + 1000)
    const early = await judge({ lines }, { quorum: 1, sentMs: NOW - 60_000 })
    expect(early.claims.until_ms).toBe(NOW - 49_000)
  })

  it('cannot have been seen before the request was sent', async () => {
    const lines = async (body: string) =>
      (await one.cosign(body, NOW / 1000 - 10)) + (await two.cosign(body, NOW / 1000 - 10))
    const verdict = await judge({ lines }, { sentMs: SENT })
    expect(failures(verdict)).toEqual(['receipt.time'])
    expect(verdict.claims.time).toBe('claimed')
  })

  it('that the machine claims must lie between the bounds', async () => {
    expect(
      failures(await judge({}, { quorum: 0, sentMs: NOW + 301_000, now: NOW + 302_000 })),
    ).toEqual(['receipt.time'])
    const at = NOW / 1000 - 302
    const lines = async (body: string) =>
      (await one.cosign(body, at)) + (await two.cosign(body, at))
    expect(failures(await judge({ lines }))).toEqual(['receipt.time'])
  })

  it('of the last statement may be 300 s behind the second that a witness saw, and no more', async () => {
    const at = NOW / 1000 - 300
    const lines = async (body: string) =>
      (await one.cosign(body, at)) + (await two.cosign(body, at))
    for (const [late, failed] of [
      [1000, []],
      [1001, ['receipt.time']],
    ] as const) {
      const told = (all: Statement[]) => (all.at(-1)!.utc_ms = NOW + late)
      const { input: slow } = await scene.lie({
        statements: told,
        checkpoint: (c) => (c.utcMs = NOW + late),
      })
      const proof = await makeProof(scene.world, decodeReceipt(slow.receipt), { lines })
      const verdict = await scene.judge({
        input: { ...slow, proof },
        policy: witnesses(2),
        now: NOW + 2000,
      })
      expect(failures(verdict)).toEqual(failed)
    }
  })
})

describe('a policy', () => {
  const source = (witnesses: unknown) => JSON.stringify({ ...scene.world.policy, witnesses })

  it('may name witnesses', () => {
    const named = { keys: [one.key, two.key], quorum: 2 }
    expect(parsePolicy(source(named)).witnesses).toEqual(named)
  })

  it.each([
    ['a quorum above the keys', () => ({ keys: [one.key], quorum: 2 })],
    ['a negative quorum', () => ({ keys: [one.key], quorum: -1 })],
    ['one name twice', () => ({ keys: [one.key, { ...two.key, name: one.key.name }], quorum: 1 })],
    ['one key twice', () => ({ keys: [one.key, { ...one.key, name: 'other' }], quorum: 1 })],
    ['a short key', () => ({ keys: [{ name: 'a', public_key: 'AAAA' }], quorum: 1 })],
    ['a name with a space', () => ({ keys: [{ ...one.key, name: 'a b' }], quorum: 1 })],
    ['a name with a plus', () => ({ keys: [{ ...one.key, name: 'a+b' }], quorum: 1 })],
    ['no quorum', () => ({ keys: [one.key] })],
    ['another member', () => ({ keys: [one.key], quorum: 1, url: 'x' })],
  ])('is refused with %s', (_what, make) => {
    expect(() => parsePolicy(source(make()))).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })
})
