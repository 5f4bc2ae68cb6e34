// One machine with a processor that reports: what its document says to a verifier, under a policy that trusts the
// makers of these tests and relaxes nothing.
import type { TeeReport } from '../attestation.ts'

import type { Policy } from '../policy.ts'
import type { TeePolicy } from '../tee/policy.ts'
import { reportData } from '../tee/report-data.ts'
import type { CheckId } from './checks.ts'
import { makeSnp, type SnpFields } from './test-snp.ts'
import { makeTdx, type TdxFields } from './test-tdx.ts'
import { createWorld, makeDocument, NOW, reported, type World } from './test-world.ts'
import { type Verdict, verifyDocument } from './verify-receipt.ts'

/** The checks of TEE evidence, by what they are about. */
export const TEE = {
  form: 'document.tee_form',
  chain: 'document.tee_chain',
  signature: 'document.tee_signature',
  binding: 'document.tee_binding',
  tcb: 'document.tee_tcb',
  guest: 'document.tee_guest',
  reference: 'document.tee_reference',
  eventLog: 'document.tee_event_log',
} as const satisfies Record<string, CheckId>

export const entry = (verdict: Verdict, id: CheckId) =>
  verdict.checks.find((check) => check.id === id)!

/** Reference values of the honest processors. */
export const MEASUREMENT = '4d'.repeat(48)
export const MRTD = '7d'.repeat(48)

export interface Told {
  /** REPORT_DATA, where it is not that of the machine. */
  data?: Uint8Array
  /** What stands in the document, changed after the TPM quoted it. */
  unquoted?: (record: TeeReport) => void
  /** What stands in the document, changed before the TPM quoted it. */
  quoted?: (record: TeeReport) => void
  policy?: Partial<Policy>
  snp?: TeePolicy['snp']
  tdx?: TeePolicy['tdx']
  now?: number
}

export class TeeScene {
  readonly #world: World

  private constructor(world: World) {
    this.#world = world
  }

  static async create(): Promise<TeeScene> {
    return new TeeScene(await createWorld())
  }

  dataFor = (): Promise<Uint8Array> => reportData(this.#world.ak.public, this.#world.k)

  async snp(fields: SnpFields = {}, told: Told = {}): Promise<Verdict> {
    const { record, root } = await makeSnp(told.data ?? (await this.dataFor()), fields)
    const snp = { measurements: [MEASUREMENT], roots: [root], ...told.snp }
    return this.judge(record, { evidence: ['tpm', 'tee'], tee: { snp } }, told)
  }

  async tdx(fields: TdxFields = {}, told: Told = {}): Promise<Verdict> {
    const { record, root } = await makeTdx(told.data ?? (await this.dataFor()), fields)
    const tdx = { mrtd: [MRTD], roots: [root], ...told.tdx }
    return this.judge(record, { evidence: ['tpm', 'tee'], tee: { tdx } }, told)
  }

  async judge(record: TeeReport, policy: Partial<Policy>, told: Told = {}): Promise<Verdict> {
    const given = structuredClone(record)
    told.quoted?.(given)
    const world = await reported(this.#world, given)
    const document = await makeDocument(world)
    told.unquoted?.(document.tee_report!)
    const rules = { ...world.policy, ...policy, ...told.policy }
    return verifyDocument({ document }, rules, told.now ?? NOW)
  }

  /** The machine without a processor that reports. */
  async bare(policy: Partial<Policy>): Promise<Verdict> {
    const document = await makeDocument(this.#world)
    return verifyDocument({ document }, { ...this.#world.policy, ...policy }, NOW)
  }
}
