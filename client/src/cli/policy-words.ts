// A policy in words: what each part asks for, and what it leaves open. For the person who is to answer for it.
import {
  AMD_ARK_ROOTS,
  GOOGLE_AK_ROOTS,
  type Image,
  INTEL_SGX_ROOTS,
  type Policy,
} from '@sealed/protocol'

/** `member: what it means`, in the order of trust; what weakens the policy is in `warnings`. */
export interface PolicyWords {
  lines: [member: string, words: string][]
  warnings: string[]
}

const PCR_WORDS: Record<number, string> = {
  0: 'firmware',
  1: 'firmware settings, boot order, disks',
  2: 'option ROMs; on Google’s TDX machines what was booted',
  3: 'option ROM settings',
  4: 'boot loader or unified kernel image',
  5: 'partition table',
  6: 'vendor events',
  7: 'Secure Boot state and keys',
  9: 'kernel command line and initrd',
  11: 'parts of the unified kernel image',
  12: 'command line given beside the image',
  13: 'what the workload was launched by; no value need stand here, every verifier computes it',
  15: 'machine id, disk keys',
}
const EVIDENCE_WORDS: Record<Policy['evidence'][number], string> = {
  tpm: 'a quote by a TPM',
  'event-log':
    'an event log that leads to the quoted PCRs, and reference values for what it booted',
  tee: 'a report by an AMD or Intel processor',
  'sev-snp': 'a report by an AMD processor (SEV-SNP)',
  tdx: 'a quote by an Intel processor (TDX)',
}

const short = (hex: string) => `${hex.slice(0, 16)}…`
const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`

export function policyWords(policy: Policy): PolicyWords {
  return {
    lines: [
      ['name', policy.name],
      ...policy.ak_roots.map((root): [string, string] => ['ak_roots', rootWords(root)]),
      ...policy.evidence.map((kind): [string, string] => ['evidence', EVIDENCE_WORDS[kind]]),
      ...policy.images.map((image): [string, string] => ['images', imageWords(image)]),
      ...instanceWords(policy),
      ...teeWords(policy),
      ...policy.workloads.map((digest): [string, string] => ['workloads', `${digest} may run`]),
      ['seal_policies', `${policy.seal_policies.join(', ')} accepted`],
      ['metering', policy.metering === 'required' ? 'every answer is metered' : 'may be missing'],
      ...policy.authorities.map((id): [string, string] => ['authorities', `${id} must be present`]),
      ...witnessWords(policy),
      [
        'max_age_ms',
        policy.max_age_ms === undefined
          ? 'a receipt may be of any age'
          : `a receipt is at most ${policy.max_age_ms} ms old`,
      ],
    ],
    warnings: warningsOf(policy),
  }
}

const rootWords = (root: string): string =>
  GOOGLE_AK_ROOTS.includes(root)
    ? `${short(root)} Google’s root: machines on Google’s cloud`
    : `${short(root)} not Google’s: who holds its key can make up any machine`

function imageWords({ name, pcrs, uki, version }: Image): string {
  const indices = pcrs.map(({ index }) => index).join(', ')
  const applications = uki ? `; boots ${count(uki.length, 'EFI application')}` : ''
  return `${name} ${version}: PCR ${indices}${applications}`
}

/** What is behind each PCR of an image, for who decides whether to pin it. */
export function pcrLines(image: Image): string[] {
  return image.pcrs.map(({ digests, index }) => {
    const zero = digests.every((digest) => /^0+$/.test(digest))
      ? ' (zero: nothing was measured)'
      : ''
    return `PCR ${index}: ${PCR_WORDS[index] ?? 'unknown'}${zero}`
  })
}

function instanceWords({ instances }: Policy): [string, string][] {
  if (!instances) return []
  const { projects, zones } = instances
  return [
    ...(projects
      ? ([['instances', `project ${projects.join(' or ')}`]] as [string, string][])
      : []),
    ...(zones ? ([['instances', `zone ${zones.join(' or ')}`]] as [string, string][]) : []),
  ]
}

function teeWords({ tee }: Policy): [string, string][] {
  const words: [string, string][] = []
  if (tee?.snp) {
    const { allow_smt, measurements, min_tcb, roots } = tee.snp
    words.push([
      'tee.snp',
      [
        measurements ? count(measurements.length, 'launch measurement') : 'any launch measurement',
        allow_smt ? 'SMT allowed' : 'no SMT',
        min_tcb
          ? `patch levels at least ${Object.entries(min_tcb)
              .map(([part, level]) => `${part} ${level}`)
              .join(', ')}`
          : 'any patch level',
        ...(roots ?? []).map((root) => makerWords(root, AMD_ARK_ROOTS, 'AMD')),
      ].join('; '),
    ])
  }
  if (tee?.tdx) {
    const { mr_seam, mrtd, roots, rtmrs } = tee.tdx
    words.push([
      'tee.tdx',
      [
        mrtd ? count(mrtd.length, 'firmware measurement') : 'any firmware',
        mr_seam ? count(mr_seam.length, 'TDX module') : 'any TDX module of Intel’s',
        rtmrs ? `RTMR ${rtmrs.map(({ index }) => index).join(', ')}` : 'anything booted',
        ...(roots ?? []).map((root) => makerWords(root, INTEL_SGX_ROOTS, 'Intel')),
      ].join('; '),
    ])
  }
  return words
}

const makerWords = (root: string, known: readonly string[], maker: string): string =>
  `root ${short(root)} ${known.includes(root) ? `of ${maker}` : `not ${maker}’s`}`

function witnessWords({ witnesses }: Policy): [string, string][] {
  if (!witnesses) return []
  const names = witnesses.keys.map(({ name }) => name).join(', ')
  return [['witnesses', `${witnesses.quorum} of ${names || 'none'} must have seen the log`]]
}

function warningsOf(policy: Policy): string[] {
  const has = (...kinds: Policy['evidence']) => kinds.some((kind) => policy.evidence.includes(kind))
  const strange = policy.ak_roots.filter((root) => !GOOGLE_AK_ROOTS.includes(root))
  return [
    ...(strange.length > 0
      ? [
          'It trusts roots that are not Google’s: right for your own hardware or a development machine, for nothing else.',
        ]
      : []),
    ...(policy.workloads.length === 0
      ? ['It accepts no workload, so nothing verifies under it.']
      : []),
    ...(policy.images.length === 0
      ? [
          has('event-log')
            ? 'It asks for an event log and names no image to hold it against, so nothing is more than incomplete under it.'
            : 'It names no image: any system may have been booted.',
        ]
      : []),
    ...(has('tee', 'sev-snp', 'tdx')
      ? []
      : [
          'It asks for no report by the processor: whoever runs the TPM, a cloud provider for one, is trusted.',
        ]),
    ...(policy.metering === 'optional' ? ['It accepts answers that were not metered.'] : []),
    ...((policy.witnesses?.quorum ?? 0) === 0
      ? [
          'It needs no witness: a machine may show different logs to different people, and time is the machine’s claim.',
        ]
      : []),
  ]
}
