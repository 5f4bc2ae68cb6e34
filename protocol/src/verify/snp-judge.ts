// Judges an SEV-SNP report: signed by a VCEK of this very chip at these very patch levels, under one of AMD's roots,
// for a guest that nobody may debug or migrate.
import type { X509Certificate } from '@peculiar/x509'
import type { TeeReport } from '../attestation.ts'
import { equal, fromBase64url, fromHex, toHex } from '../bytes.ts'
import type { Policy } from '../policy.ts'
import { AMD_ARK_ROOTS, type TeePolicy } from '../tee/policy.ts'
import { parseSnpReport, type SnpReport, snpSignatureIsBy } from '../tee/snp-report.ts'
import { tcbAtLeast, tcbEqual, tcbText } from '../tee/tcb.ts'
import { readVcek } from '../tee/vcek.ts'
import { checkChain, ecdsaKey, openCertificates } from './chain.ts'
import { ensure, Skip } from './checks.ts'
import type { TeeJudge } from './tee-judge.ts'

const SIGNED_BY_VCEK = 0

export function openSnp(record: TeeReport, policy: Policy, now: number): TeeJudge {
  const report = parseSnpReport(fromBase64url(record.report))
  const chain = (record.certificates ?? []).map(fromBase64url)
  ensure(chain.length === 3, 'an SNP report comes with three certificates: VCEK, ASK, ARK')
  ensure(record.event_log === undefined, 'an SNP report has no event log of its own')
  const accepted = policy.tee?.snp ?? {}
  const vcek = openCertificates(chain)[0]!
  return {
    form: `SEV-SNP report, version ${report.version}`,
    reportData: report.reportData,
    measurement: report.measurement,
    tcbIsJudged: true,
    hasReferences: accepted.measurements !== undefined,
    async chain() {
      const certificates = await checkChain(chain, accepted.roots ?? AMD_ARK_ROOTS, now)
      return `chain of 3 to ${certificates[2]!.subject}`
    },
    signature: () => checkSignature(report, vcek),
    tcb: () => checkTcb(report, vcek, accepted),
    guest: () => checkGuest(report, accepted),
    reference() {
      if (!accepted.measurements) throw new Skip('the policy names no SNP measurements')
      const known = accepted.measurements.some((m) => equal(report.measurement, fromHex(m)))
      ensure(known, `measurement ${toHex(report.measurement)} is not in the policy`)
      return `measurement ${toHex(report.measurement)}`
    },
    async eventLog() {
      throw new Skip('SEV-SNP measures the launch only: what booted is in the TPM’s event log')
    },
  }
}

type Accepted = NonNullable<TeePolicy['snp']>

async function checkSignature(report: SnpReport, vcek: X509Certificate): Promise<string> {
  ensure(
    report.signingKey === SIGNED_BY_VCEK,
    'not signed by a VCEK, which alone is tied to a chip',
  )
  const key = await ecdsaKey(vcek, 'P-384')
  ensure(await snpSignatureIsBy(key, report), 'the VCEK did not sign this report')
  return 'ECDSA P-384 by the VCEK'
}

/** The VCEK is this chip's, at the reported levels; what runs is at least what was launched, reported, committed to. */
function checkTcb(report: SnpReport, certificate: X509Certificate, { min_tcb }: Accepted): string {
  const vcek = readVcek(certificate, report.layout)
  ensure(!report.chipIdMasked, 'the host hides CHIP_ID')
  ensure(equal(vcek.chipId, report.chipId), 'the VCEK is of another chip')
  const { committed, current, launch, reported } = report
  ensure(tcbEqual(vcek.tcb, reported), 'the VCEK is of other patch levels than reported')
  ensure(tcbAtLeast(current, committed), 'more is committed to than runs')
  ensure(tcbAtLeast(current, reported), 'more is reported than runs')
  ensure(tcbAtLeast(current, launch), 'the guest was launched on more than runs')
  const [running, kept] = [report.currentFirmware, report.committedFirmware]
  const older =
    running.major - kept.major || running.minor - kept.minor || running.build - kept.build
  ensure(older >= 0, 'the firmware is older than the one committed to')
  const least = min_tcb ?? {}
  for (const [what, tcb] of Object.entries({ reported, committed, launch }))
    ensure(tcbAtLeast(tcb, least), `${what} below the policy’s patch levels: ${tcbText(tcb)}`)
  return min_tcb ? tcbText(reported) : `${tcbText(reported)}; the policy names no least levels`
}

function checkGuest(report: SnpReport, { allow_smt }: Accepted): string {
  const { debug, migrationAgent, smt } = report.policy
  ensure(!debug, 'the host may debug this guest')
  ensure(!migrationAgent, 'a migration agent may move this guest')
  ensure(!smt || allow_smt === true, 'SMT is allowed to the host, and the policy does not allow it')
  ensure(report.vmpl === 0, `asked for at VMPL ${report.vmpl}, not by the kernel at 0`)
  return `VMPL 0, no debugging, no migration${smt ? ', SMT allowed' : ''}`
}
