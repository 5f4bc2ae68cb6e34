// The protocol as it unfolds, one line an event, as in the research note's figures. Times and facts come from the
// receipt's statements; what the workload says of itself is marked as its own words.
import type { Receipt, Statement, StatementFields, Verdict } from '@sealed/protocol'
import type { SessionEvent } from '../ask.ts'
import type { Attested } from '../attest.ts'
import { type Io, type Paint, painter, plainLine } from './io.ts'
import { checkLines, verdictSummary } from './verdict-lines.ts'

export interface Story {
  attested(attested: Attested): void
  event(event: SessionEvent): void
  receipt(receipt: Receipt, reached: readonly Reach[]): void
  verdict(verdict: Verdict): void
  line(label: string, text: string): void
}

/**
 * What the workload says of a try to reach the outside: members `reach_<address>:<port>` (under the seal) and
 * `idle_<address>:<port>` (the last one before it) of its answer's metadata.
 */
export interface Reach {
  name: string
  /** `reached`, or why not. */
  said: string
  /** Whether it was tried under the seal. */
  sealed: boolean
}

const SILENT: Story = {
  attested() {},
  event() {},
  receipt() {},
  verdict() {},
  line() {},
}

/** Tells the story on stderr, so that stdout holds the answer alone; silent under `--json`. */
export function storyteller(io: Io, flags: { json?: boolean; verbose?: boolean }): Story {
  if (flags.json) return SILENT
  const paint = painter(io, 'stderr')
  const print = (text: string) => io.stderr.write(`${text}\n`)
  const line = (label: string, text: string) => print(`${paint('bold', label.padEnd(12))} ${text}`)
  return {
    line,
    attested({ document, keySetDigest, verdict }) {
      line('attested', verdictSummary(verdict, paint))
      if (flags.verbose) for (const text of checkLines(verdict.checks, paint)) print(text)
      const names = document.configuration.workloads.map(({ name }) => name).join(', ')
      line('', paint('dim', `key set ${short(keySetDigest)}, workload ${names}`))
    },
    event(event) {
      const text = eventLine(event)
      if (text) line(...text)
    },
    receipt(receipt, reached) {
      for (const [label, text] of receiptLines(receipt, reached, paint)) line(label, text)
    },
    verdict(verdict) {
      line('verdict', verdictSummary(verdict, paint))
      const shown = verdict.checks.filter(
        ({ id, result }) => flags.verbose || result === 'fail' || !id.startsWith('document.'),
      )
      for (const text of checkLines(shown, paint)) print(text)
    },
  }
}

type Line = [label: string, text: string]
const short = (hex: string) => `${hex.slice(0, 16)}…`
const iso = (ms: number) => new Date(ms).toISOString()

function eventLine(event: SessionEvent): Line | undefined {
  if (event.type === 'prepared') {
    const { header } = event
    return [
      'prepared',
      `nonce ${header.nonce.slice(0, 12)}…, sealed to key ${short(header.key_id)}, ${event.bytes} bytes for ${header.workload}`,
    ]
  }
  if (event.type === 'refused')
    return ['refused', `${plainLine(event.message)}; again in ${event.retryAfterMs / 1000} s`]
  return undefined
}

function receiptLines(receipt: Receipt, reached: readonly Reach[], paint: Paint): Line[] {
  const lines: Line[] = []
  for (const statement of receipt.leaf.statements) {
    const line = statementLine(statement, paint)
    if (line) lines.push(line)
    if (statement.type === 'request.received')
      lines.push(...reached.filter(({ sealed }) => !sealed).map(idleLine))
    if (statement.type === 'input_key.revealed')
      lines.push(...reached.filter(({ sealed }) => sealed).map((reach) => reachLine(reach, paint)))
  }
  lines.push(['receipt', `${receipt.leaf.session}, leaf ${receipt.index} of the log`])
  return lines
}

const idleLine = ({ name, said }: Reach): Line => [
  'before',
  `the seal, ${plainLine(name)} was ${plainLine(said)}, says the workload`,
]

function reachLine({ name, said }: Reach, paint: Paint): Line {
  if (said === 'reached') return ['reached', paint('red', `${plainLine(name)}, says the workload`)]
  return [
    'refused',
    `to reach ${plainLine(name)}: ${plainLine(said.replace(/^refused: /, ''))}, says the workload`,
  ]
}

type Company = Pick<StatementFields<'seal.kept'>, 'sessions_overlapping' | 'tenants'>

function statementLine(s: Statement, paint: Paint): Line | undefined {
  switch (s.type) {
    case 'request.received':
      return ['received', `for ${s.operation} on ${s.workload}`]
    case 'seal.enforced':
    case 'seal.joined':
      return [
        s.type === 'seal.joined' ? 'joined' : 'sealed',
        `at ${iso(s.utc_ms)}, policy ${s.policy}${beside(s)}; probes: ${s.probes.blocked} refused, ${s.probes.reached} got through, ${s.probes.age_ms} ms ago`,
      ]
    case 'seal.absent':
      return ['NOT sealed', paint('red', `this machine cannot seal (${s.reason})`)]
    case 'tpm.absent':
      return ['NOT attested', paint('red', 'no TPM counted this session, and none quotes it')]
    case 'input_key.revealed':
      return ['input key', `revealed to the ${s.to}`]
    case 'activations.observed':
      return [
        'activations',
        `${s.tokens} tokens, ${s.layers} layers, ${s.hidden} wide, of model ${short(s.model)}`,
      ]
    case 'registry.applied':
      return [
        'registry',
        s.metered
          ? `${s.operation} done with ${s.attribution}; version ${s.registry_version}`
          : paint('yellow', 'not metered: no activations'),
      ]
    case 'seal.checked':
      return [
        'seal',
        `unchanged; ${s.rejected_packets} packets rejected, ${s.dropped_packets} dropped`,
      ]
    case 'output.committed':
      return ['committed', `to ${s.output_bytes} bytes of output, status ${s.status}`]
    case 'seal.released':
      return ['released', `at ${iso(s.utc_ms)}, after ${milliseconds(s.sealed_us)} ms under seal`]
    case 'seal.kept':
      return [
        'sealed',
        `still, after ${milliseconds(s.sealed_us)} ms of this session${beside(s)}: the epoch goes on`,
      ]
    case 'registry.read':
      return ['registry', `meters of ${s.authority} read; version ${s.registry_version}`]
    case 'session.aborted':
      return ['aborted', paint('red', `when ${s.at}: ${s.reason}`)]
    case 'response.released':
      return undefined
  }
}

const beside = ({ sessions_overlapping: others, tenants }: Company) =>
  others === 0 ? '' : `, ${others} other sessions of ${tenants} callers in all beside it`

const milliseconds = (microseconds: string) => (Number(microseconds) / 1000).toFixed(1)
