// A document judged once serves many receipts: always with the verdict that a judgement from the start would give, and
// never for what it was not made for.
import { beforeAll, describe, expect, it } from 'vitest'
import type { AttestationDocument } from '../attestation.ts'
import { sha256Hex, toBase64url } from '../bytes.ts'
import { encodeReceipt } from '../receipt.ts'
import { CHECKS } from './checks.ts'
import { KnownDocument } from './known-document.ts'
import { failures, Scene } from './test-scene.ts'
import { makeInput } from './test-session.ts'
import { issueChain } from './test-tpm.ts'
import { createWorld, hexOf, makeReceipt, NOW } from './test-world.ts'
import { verifyReceipt } from './verify-receipt.ts'

let scene: Scene
beforeAll(async () => {
  scene = await Scene.create()
})
const known = () => new KnownDocument(scene.world.document, scene.world.policy)
const AT = NOW + 1000

describe('a known document', () => {
  it.each(['completed', 'aborted', 'reading', 'plain'] as const)(
    'gives the whole verdict on a %s session',
    async (kind) => {
      const document = known()
      const input = await makeInput(scene.world, scene[kind])
      const whole = await verifyReceipt(input, scene.world.policy, AT)
      expect(whole.outcome).toBe('verified')
      for (const later of [0, 1, 59_000])
        expect(await document.verify(input, AT + later)).toEqual(
          await verifyReceipt(input, scene.world.policy, AT + later),
        )
    },
  )

  it('passes no receipt of another document', async () => {
    const document = known()
    await document.verify(await makeInput(scene.world, scene.completed), AT)
    const other = await createWorld()
    const { receipt } = await makeReceipt(other, scene.completed.statements)
    const verdict = await document.verify({ receipt: encodeReceipt(receipt) }, AT)
    expect(failures(verdict)).toContain('receipt.document')
    expect(failures(verdict)).toContain('receipt.quote_signature')
  })

  it('passes no bent receipt after a true one', async () => {
    const document = known()
    const { input } = await scene.lie({})
    expect((await document.verify(input, AT)).outcome).toBe('verified')
    const bent = await scene.tamper((receipt) => {
      receipt.leaf.session = '00'.repeat(16)
    })
    expect(failures(await document.verify(bent.input, AT))).toEqual(['receipt.inclusion'])
  })

  it('keeps its own copies: what is changed afterwards changes nothing', async () => {
    const document = structuredClone(scene.world.document)
    const policy = { ...structuredClone(scene.world.policy), workloads: [hexOf(9)] }
    const strange = new KnownDocument(document, policy)
    policy.workloads = [hexOf(0xa0)]
    const { input } = await scene.lie({})
    expect(failures(await strange.verify(input, AT))).toContain('document.configuration')

    const copied = new KnownDocument(document, scene.world.policy)
    document.pcrs = []
    const first = await copied.verify(input, AT)
    expect(first.outcome).toBe('verified')
    for (const entry of first.checks) entry.result = 'fail'
    expect((await copied.verify(input, AT)).outcome).toBe('verified')
  })

  it('goes on failing a document that failed', async () => {
    const [ak_root] = scene.world.policy.ak_roots
    const policy = { ...scene.world.policy, ak_roots: [ak_root!.replaceAll(/./g, '0')] }
    const untrusted = new KnownDocument(scene.world.document, policy)
    const { input } = await scene.lie({})
    for (let i = 0; i < 2; i++)
      expect(failures(await untrusted.verify(input, AT))).toEqual(['document.ak_chain'])
  })

  it.each([1_000, 59_000, 60_000, 61_000, 3_600_000])(
    'fails from the moment on at which a certificate ends, %d ms after the first receipt',
    async (after) => {
      const end = AT + after - (after % 1000)
      const chain = await issueChain(scene.world.ak.publicKey, NOW, {
        leaf: { notAfter: new Date(end) },
      })
      const ak = { ...scene.world.document.ak, chain: chain.map(toBase64url) }
      const document = { ...scene.world.document, ak }
      const policy = { ...scene.world.policy, ak_roots: [await sha256Hex(chain.at(-1)!)] }
      const short = new KnownDocument(document, policy)
      const { input } = await scene.lie({})
      for (const now of [AT, end, end + 1000, AT, end + 60_000, NOW - 10 * 86_400_000, AT]) {
        const whole = await verifyReceipt({ ...input, document }, policy, now)
        const judged = await short.verify(input, now)
        expect(judged.checks.map(({ result }) => result)).toEqual(
          whole.checks.map(({ result }) => result),
        )
      }
      expect(failures(await short.verify(input, end + 1000))).toContain('document.ak_chain')
    },
  )

  it('may be no document at all', async () => {
    const { input } = await scene.lie({})
    for (const junk of [undefined, null, {}, { f: () => 0 }, 7]) {
      const document = new KnownDocument(junk as unknown as AttestationDocument, scene.world.policy)
      const verdict = await document.verify(input, AT)
      expect(failures(verdict)).toEqual(['document.form'])
      expect(verdict.checks.map(({ id }) => id)).toEqual(Object.keys(CHECKS))
    }
  })

  it('never says that it is fresh', async () => {
    const verdict = await known().verify((await scene.lie({})).input, AT)
    expect(verdict.checks.find(({ id }) => id === 'document.challenge')!.result).toBe('skip')
  })
})
