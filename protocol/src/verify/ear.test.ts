// A verdict in EAR's words: no better than the verdict, whatever was skipped, failed, or not there.
import { beforeAll, describe, expect, it } from 'vitest'
import { toBase64url } from '../bytes.ts'
import { encodeReceipt } from '../receipt.ts'
import { CHECKS, type CheckEntry, type CheckId, type Outcome } from './checks.ts'
import { type Appraisal, earOf, tierOf } from './ear.ts'
import { type Case, flip, Scene } from './test-scene.ts'
import { makeReceipt, NOW } from './test-world.ts'
import { type Verdict, verifyDocument } from './verify-receipt.ts'

const VERIFIER = { developer: 'nobody', build: 'test' }
const IDS = Object.keys(CHECKS) as CheckId[]
let scene: Scene
beforeAll(async () => {
  scene = await Scene.create()
})

const ear = (verdict: Verdict) => earOf(verdict, scene.world.policy, VERIFIER, NOW)
const earOfCase = async (lie: Case) => ear(await scene.judge(lie))

/** A verdict with these results, all others passed. */
function verdictOf(results: Partial<Record<CheckId, CheckEntry['result']>>): Verdict {
  const checks = IDS.map((id): CheckEntry => {
    const result = results[id] ?? 'pass'
    return { id, section: CHECKS[id], result, required: true, reason: '-' }
  })
  const has = (result: string) => checks.some((check) => check.result === result)
  const outcome: Outcome = has('fail') ? 'failed' : has('skip') ? 'incomplete' : 'verified'
  return { outcome, policy: 'test', checks, claims: { time: 'claimed', fork: 'skipped' } }
}

const appraisals = (submods: object): Appraisal[] => Object.values(submods)

describe('an EAR', () => {
  it('has the names of draft 04', async () => {
    const result = await earOfCase(await scene.lie({}))
    expect(result).toMatchObject({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      iat: NOW / 1000,
      ear_verifier_id: VERIFIER,
    })
    expect(Object.keys(result).sort()).toEqual(['ear_verifier_id', 'eat_profile', 'iat', 'submods'])
    for (const appraisal of appraisals(result.submods))
      for (const name of Object.keys(appraisal)) expect(name).toMatch(/^ear_[a-z_]+$/)
  })

  it('names the policy by its digest', async () => {
    const [one, other] = await Promise.all([
      earOf(verdictOf({}), scene.world.policy, VERIFIER, NOW),
      earOf(verdictOf({}), { ...scene.world.policy, metering: 'optional' }, VERIFIER, NOW),
    ])
    const id = one.submods.tpm!.ear_appraisal_policy_ids[0]!
    expect(id).toMatch(/^ni:\/\/\/sha-256;[A-Za-z0-9_-]{43}$/)
    expect(other.submods.tpm!.ear_appraisal_policy_ids).not.toEqual([id])
  })

  it('affirms all where all passed', async () => {
    const { submods } = await ear(verdictOf({}))
    expect(Object.keys(submods)).toEqual(['tpm', 'tee', 'workload', 'receipt'])
    for (const { ear_status, ear_trustworthiness_vector } of appraisals(submods)) {
      expect(ear_status).toBe('affirming')
      for (const value of Object.values(ear_trustworthiness_vector))
        expect(tierOf(value)).toBe('affirming')
    }
  })

  it.each(IDS)('affirms nothing that rests on %s when that was skipped', async (id) => {
    for (const required of [true, false]) {
      const verdict = verdictOf({ [id]: 'skip' })
      for (const check of verdict.checks) check.required = required
      const { submods } = await ear(verdict)
      const own = appraisals(submods).find(({ ear_verifier_claims }) =>
        ear_verifier_claims.checks.some((check) => check.id === id),
      )
      expect(own?.ear_status ?? 'none').toBe('none')
      if (own && id !== 'document.challenge')
        expect(Object.values(own.ear_trustworthiness_vector)).toContain(0)
    }
  })

  it.each(IDS)('says contraindicated when %s failed, whatever was skipped', async (id) => {
    const skipped = Object.fromEntries(IDS.map((other) => [other, 'skip' as const]))
    const { submods } = await ear(verdictOf({ ...skipped, [id]: 'fail' }))
    const own = appraisals(submods).find(({ ear_verifier_claims }) =>
      ear_verifier_claims.checks.some((check) => check.id === id),
    )!
    expect(own.ear_status).toBe('contraindicated')
    if (id === 'document.challenge') return
    const values = Object.values(own.ear_trustworthiness_vector)
    expect(Math.max(...values)).toBeGreaterThanOrEqual(96)
    expect(values.every((value) => tierOf(value) !== 'affirming')).toBe(true)
  })

  it('affirms no receipt and no workload of a TPM that is not affirmed', async () => {
    for (const result of ['fail', 'skip'] as const) {
      const { submods } = await ear(verdictOf({ 'document.ak_chain': result }))
      for (const of of ['tee', 'workload', 'receipt'] as const)
        expect(submods[of]!.ear_status).toBe(result === 'fail' ? 'contraindicated' : 'none')
    }
  })

  it('says what a flipped bit in the quote means', async () => {
    const { document, receipt } = await makeReceipt(scene.world, scene.completed.statements)
    const signature = toBase64url(new Uint8Array(flip(new Uint8Array(70).fill(1), 3)))
    const quote = { ...receipt.quote, signature }
    const bent = { document, receipt: encodeReceipt({ ...receipt, quote }) }
    const { submods } = await earOfCase({ input: bent })
    expect(submods.receipt).toMatchObject({
      ear_status: 'contraindicated',
      ear_trustworthiness_vector: { 'instance-identity': 99 },
    })
  })

  it('keeps silent about what was neither judged nor asked for', async () => {
    const document = await earOf(
      await verifyDocument({ document: scene.world.document }, scene.world.policy, NOW),
      scene.world.policy,
      VERIFIER,
      NOW,
    )
    expect(Object.keys(document.submods)).toEqual(['tpm', 'workload'])
    const text = JSON.stringify(await earOfCase(await scene.lie({})))
    expect(text).not.toMatch(/\bgpu\b|"tee"|storage-opaque|file-system/i)
  })

  it('has an appraisal of the TEE where the policy asks for one that is not there', async () => {
    const { submods } = await earOfCase(await scene.lie({}, { evidence: ['tpm', 'tdx'] }))
    expect(submods.tee).toMatchObject({
      ear_status: 'none',
      ear_trustworthiness_vector: { hardware: 0, 'runtime-opaque': 0 },
    })
  })

  it('carries what the receipt says of its session, and nothing of one that cannot be read', async () => {
    const { submods } = await earOfCase(await scene.lie({}))
    expect(submods.receipt!.ear_attester_claims).toMatchObject({
      door: 'envelope',
      result: 'completed',
      time: 'claimed',
    })
    expect(submods.workload!.ear_attester_claims).toEqual({ workload: 'demo' })
    const none = await earOfCase(await scene.give({ receipt: 'AA' }))
    expect(none.submods.receipt!.ear_attester_claims).toBeUndefined()
    expect(none.submods.receipt!.ear_status).toBe('contraindicated')
  })

  it('is never better than the verdict', async () => {
    const judged = await scene.judge(await scene.lie({}))
    expect(judged.outcome).toBe('verified')
    const { submods } = await ear(judged)
    expect(submods.receipt!.ear_status).toBe('none')
    expect(submods.receipt!.ear_verifier_claims.outcome).toBe('verified')
  })
})
