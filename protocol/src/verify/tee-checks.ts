// The checks of TEE evidence, whatever its kind: that hardware the policy trusts vouches for these keys. Skipped only
// where a document has none.
import type { TeeReport } from '../attestation.ts'
import { equal, fromBase64url, toHex } from '../bytes.ts'
import type { Policy } from '../policy.ts'
import { reportData } from '../tee/report-data.ts'
import { type CheckId, type Checks, ensure, needs, Skip } from './checks.ts'
import { openSnp } from './snp-judge.ts'
import { openTdx } from './tdx-judge.ts'
import type { TeeJudge } from './tee-judge.ts'
import type { DocumentFacts } from './verify-document.ts'

const ALWAYS: readonly CheckId[] = [
  'document.tee_form',
  'document.tee_chain',
  'document.tee_signature',
  'document.tee_binding',
  'document.tee_tcb',
  'document.tee_guest',
  'document.tee_reference',
]
const EVENT_LOG: CheckId = 'document.tee_event_log'

export async function checkTee(
  checks: Checks,
  { claims, document, k }: DocumentFacts,
  policy: Policy,
  now: number,
): Promise<void> {
  const wanted = policy.evidence.filter((kind) => kind === 'sev-snp' || kind === 'tdx')
  const required = wanted.length > 0 || policy.evidence.includes('tee')
  const record = document.tee_report
  if (!record) {
    const none = () => {
      throw new Skip('no TEE evidence in the document')
    }
    for (const id of ALWAYS) await checks.run(id, required, none)
    return checks.run(EVENT_LOG, false, none)
  }
  let opened: TeeJudge | undefined
  await checks.run('document.tee_form', true, () => {
    for (const kind of wanted)
      ensure(kind === record.kind, `the policy asks for ${kind}, and this is ${record.kind}`)
    opened = open(record, policy, now)
    return opened.form
  })
  const judge = () => needs(opened, 'the report')
  await checks.run('document.tee_chain', true, () => judge().chain())
  await checks.run('document.tee_signature', true, () => judge().signature())
  await checks.run('document.tee_binding', true, async () => {
    ensure(document.ak !== undefined, 'there is no attestation key')
    const expected = await reportData(fromBase64url(document.ak.public), k)
    ensure(
      equal(judge().reportData, expected),
      'REPORT_DATA is not that of this attestation key and key set',
    )
    claims.tee = { kind: record.kind, measurement: toHex(judge().measurement) }
    return 'bound to attestation key and key set'
  })
  await checks.run('document.tee_tcb', opened?.tcbIsJudged ?? true, () => judge().tcb())
  await checks.run('document.tee_guest', true, () => judge().guest())
  const referenced = required || (opened?.hasReferences ?? true)
  await checks.run('document.tee_reference', referenced, () => judge().reference())
  await checks.run(EVENT_LOG, false, () => judge().eventLog())
}

const open = (record: TeeReport, policy: Policy, now: number): TeeJudge =>
  record.kind === 'sev-snp' ? openSnp(record, policy, now) : openTdx(record, policy, now)
