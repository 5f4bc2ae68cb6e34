// What a verdict says: of true receipts, of checks that cannot be made, and of input that is no evidence at all.
import { beforeAll, describe, expect, it } from 'vitest'
import type { AttestationDocument } from '../attestation.ts'
import { concat, randomBytes, toBase64url, utf8 } from '../bytes.ts'
import { decodeReceipt } from '../receipt.ts'
import { CHECKS, type CheckId } from './checks.ts'
import { failures, Scene, said, unsaid } from './test-scene.ts'
import { makeInput } from './test-session.ts'
import { makeChallenge, NOW } from './test-world.ts'
import type { ReceiptInput, Verdict } from './verify-receipt.ts'

let scene: Scene
beforeAll(async () => {
  scene = await Scene.create()
})
const resultOf = (verdict: Verdict, id: CheckId) => verdict.checks.find((c) => c.id === id)!

describe('a true receipt', () => {
  it.each(['completed', 'aborted', 'reading', 'plain'] as const)('verifies: %s', async (kind) => {
    const verdict = await scene.judge({ input: await makeInput(scene.world, scene[kind]) })
    expect(failures(verdict)).toEqual([])
    expect(verdict.outcome).toBe('verified')
    expect(verdict.claims).toMatchObject({
      door: kind === 'plain' ? 'plain' : 'envelope',
      result: kind === 'aborted' ? 'aborted' : 'completed',
      workload: 'demo',
      utc_ms: NOW,
      time: 'claimed',
      fork: 'skipped',
    })
  })

  it('verifies under an RSA attestation key', async () => {
    const machine = await Scene.create('rsassa')
    expect((await machine.judge(await machine.lie({}))).outcome).toBe('verified')
  })

  it('has an entry for every check, once, in order', async () => {
    const verdict = await scene.judge(await scene.lie({}))
    expect(verdict.checks.map(({ id }) => id)).toEqual(Object.keys(CHECKS))
    for (const { id, section, reason } of verdict.checks) {
      expect(section).toBe(CHECKS[id])
      expect(reason).not.toBe('')
    }
  })

  it('passes a challenge, reference values and an age where they are asked for', async () => {
    const nonce = randomBytes(32)
    const { input } = await scene.give({
      challenge: { nonce, answer: await makeChallenge(scene.world, nonce) },
    })
    const verdict = await scene.judge({ input, policy: { max_age_ms: 60_000 } })
    expect(verdict.outcome).toBe('verified')
    for (const id of ['document.challenge', 'document.pcr_reference', 'receipt.time'] as const)
      expect(resultOf(verdict, id).result).toBe('pass')
  })

  it('passes without meters where the policy allows that', async () => {
    const unmetered = await scene.tell((all) => {
      said(all, 'registry.applied').metered = false
      unsaid(all, 'activations.observed')
    })
    const verdict = await scene.judge({ ...unmetered, policy: { metering: 'optional' } })
    expect(failures(verdict)).toEqual([])
  })
})

describe('a skipped check', () => {
  it('is never a passed one', async () => {
    const { receipt, document } = (await scene.lie({})).input
    const verdict = await scene.judge({ input: { receipt, document } })
    expect(verdict.outcome).toBe('verified')
    for (const id of [
      'receipt.request',
      'receipt.nonce',
      'receipt.output',
      'receipt.fork',
    ] as const)
      expect(resultOf(verdict, id)).toMatchObject({ result: 'skip', required: false })
    expect(resultOf(verdict, 'document.challenge').result).toBe('skip')
  })

  it.each([
    ['tee', 'document.tee_form'],
    ['sev-snp', 'document.tee_signature'],
    ['tdx', 'document.tee_binding'],
  ] as const)('leaves the verdict incomplete where the policy asks for %s', async (kind, id) => {
    const verdict = await scene.judge(await scene.lie({}, { evidence: ['tpm', kind] }))
    expect(verdict.outcome).toBe('incomplete')
    expect(resultOf(verdict, id)).toMatchObject({ result: 'skip', required: true })
  })

  it('does not hide a failed one', async () => {
    const verdict = await scene.judge(
      await scene.lie({}, { evidence: ['tpm', 'tdx'], workloads: [] }),
    )
    expect(verdict.outcome).toBe('failed')
  })

  it('is what follows from a check that failed, and passes nothing', async () => {
    const noReceipt = await scene.judge(await scene.give({ receipt: 'AA' }))
    const rest = noReceipt.checks.filter(({ id }) => id.startsWith('receipt.')).slice(1)
    expect(rest.map(({ result }) => result)).toEqual(rest.map(() => 'skip'))
    for (const claim of ['session', 'result', 'door', 'workload', 'utc_ms'])
      expect(noReceipt.claims).not.toHaveProperty(claim)

    const { input } = await scene.lie({})
    const noDocument = await scene.judge({
      input: { ...input, document: {} as AttestationDocument },
    })
    expect(failures(noDocument)).toEqual(['document.form'])
    expect(noDocument.checks.map(({ id }) => id)).toEqual(Object.keys(CHECKS))
    expect(noDocument.checks.slice(1).every(({ result }) => result === 'skip')).toBe(true)
  })
})

describe('hostile input', () => {
  it('never makes a verifier throw', async () => {
    const { input } = await scene.lie({})
    const junk: unknown[] = [null, undefined, 0, '', 'x', [], {}, { ak: null }, new Uint8Array(3)]
    const receipt = decodeReceipt(input.receipt)
    for (const value of junk) {
      for (const member of ['document', 'receipt', 'request', 'challenge', 'output', 'salt'])
        expect(
          (await scene.judge({ input: { ...input, [member]: value } as ReceiptInput })).checks
            .length,
        ).toBe(Object.keys(CHECKS).length)
      for (const member of Object.keys(input.document)) {
        const document = { ...input.document, [member]: value } as AttestationDocument
        expect((await scene.judge({ input: { ...input, document } })).outcome).toBe('failed')
      }
      for (const member of Object.keys(receipt)) {
        if (value === undefined) continue
        const bytes = utf8(JSON.stringify({ ...receipt, [member]: value }))
        const verdict = await scene.judge({ input: { ...input, receipt: toBase64url(bytes) } })
        expect(verdict.outcome).toBe('failed')
      }
    }
  })

  it('may be deep or long', async () => {
    const deep = toBase64url(utf8('['.repeat(40_000)))
    for (const receipt of [
      deep,
      'A'.repeat(10_000_000),
      toBase64url(concat(utf8('{"a":"'), new Uint8Array(9))),
    ])
      expect(failures(await scene.judge(await scene.give({ receipt })))).toEqual(['receipt.form'])
  })
})
