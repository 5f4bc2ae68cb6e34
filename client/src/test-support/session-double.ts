// Sessions for tests: the statements and contents that an honest embassy would make of a request.
import {
  type Bytes,
  type EnvelopeHeader,
  type Instructions,
  type Statement,
  toHex,
  utf8,
} from '@sealed/protocol'
import { type MachineDouble, NOW } from './machine-double.ts'

/** One session as the machine sees it, while a test can still change what comes of it. */
export interface SessionDouble {
  id: string
  header: EnvelopeHeader
  headerDigest: Bytes
  input: Bytes
  instructions: Instructions
  salt: Bytes
}

export interface Reply {
  head: { status: number; content_type: string }
  output: Bytes
  statements: Statement[]
}

export const readingOf = (authority: string) => ({
  authority,
  coverage: {
    boots: 1,
    egress_open_ms: 1200,
    origin: 'sealed/0123456789abcdef',
    output_bytes_unmetered: 0,
    references: [{ capability: `${authority}/design`, count: 3, model: 'ee'.repeat(32) }],
    registry_version: 4,
    rollbacks: 0,
    sessions: 5,
    sessions_unmetered: 0,
  },
  meters: [{ capability: `${authority}/design`, millionths: 1_000_000 }],
  openings: [],
  version: 1,
})

type Draft = Statement extends infer S
  ? S extends Statement
    ? Omit<S, 'seq' | 'utc_ms' | 'mono_us'>
    : never
  : never

const numbered = (drafts: Draft[]): Statement[] =>
  drafts.map(
    (draft, seq) =>
      ({ ...draft, seq, utc_ms: NOW + seq, mono_us: String(1000 * (seq + 1)) }) as Statement,
  )

function received(
  machine: MachineDouble,
  { header, headerDigest, instructions }: SessionDouble,
): Draft {
  const workload = machine.document.configuration.workloads.find(
    ({ name }) => name === header.workload,
  )!
  return {
    type: 'request.received',
    caller: 'anonymous',
    door: 'envelope',
    endpoint: header.endpoint,
    expect: header.expect,
    header_digest: toHex(headerDigest),
    nonce: header.nonce,
    operation: instructions.action.type,
    transport_key: header.key_id,
    workload: header.workload,
    workload_digest: workload.digest,
  }
}

const RULESET = 'cc'.repeat(32)

const workloadOf = ({ document }: MachineDouble, { header }: SessionDouble) =>
  document.configuration.workloads.find(({ name }) => name === header.workload)!

function begun(machine: MachineDouble, session: SessionDouble): Draft[] {
  const workload = workloadOf(machine, session)
  return [
    received(machine, session),
    {
      type: 'seal.enforced',
      dropped_packets: 0,
      rejected_packets: 0,
      ruleset_digest: RULESET,
      egress_open_ms: 0,
      generation: 1,
      image: workload.image,
      policy: workload.seal_policy,
      probes: { age_ms: 900, blocked: 14, reached: 0 },
      replica: 0,
      sessions_before: 0,
      sessions_overlapping: 0,
      tenants: 1,
    },
    { type: 'input_key.revealed', to: 'relay' },
  ]
}

export function doneStatements(
  machine: MachineDouble,
  session: SessionDouble,
  output_digest: string,
  output_bytes: number,
): Statement[] {
  return numbered([
    ...begun(machine, session),
    {
      type: 'activations.observed',
      content_digest: 'dd'.repeat(32),
      hidden: 128,
      layers: 4,
      model: workloadOf(machine, session).image,
      tokens: 12,
    },
    {
      type: 'registry.applied',
      attribution: 'cosine-max',
      changes: [],
      metered: true,
      operation: session.instructions.action.type === 'write' ? 'write' : 'update',
      registry_version: 3,
    },
    { type: 'seal.checked', dropped_packets: 0, rejected_packets: 2, ruleset_digest: RULESET },
    { type: 'output.committed', output_bytes, output_digest, status: 200 },
    { type: 'seal.released', sealed_us: '183200' },
    { type: 'response.released', to: 'gateway' },
  ])
}

export function readStatements(
  machine: MachineDouble,
  session: SessionDouble,
  reading_digest: string,
): Statement[] {
  return numbered([
    received(machine, session),
    {
      type: 'registry.read',
      authority: session.instructions.authority!,
      reading_digest,
      registry_version: 4,
    },
    { type: 'response.released', to: 'gateway' },
  ])
}

/** The reply of a session that failed after the reveal, as a gateway hands it on. */
export const aborted =
  (machine: MachineDouble) =>
  (session: SessionDouble): Reply => ({
    head: { status: 424, content_type: 'application/json' },
    output: utf8(
      JSON.stringify({
        error: {
          message: 'the workload did not answer in time',
          type: 'session_error',
          code: 'workload.timeout',
          param: null,
        },
      }),
    ),
    statements: numbered([
      ...begun(machine, session),
      { type: 'session.aborted', at: 'revealed', output_bytes: 0, reason: 'deadline' },
    ]),
  })

export const completion = (text: string, metadata?: Record<string, string>): Bytes =>
  utf8(
    JSON.stringify({
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: text } }],
      ...(metadata && { metadata }),
    }),
  )

/** The same as OpenAI's servers stream it. */
export const completionEvents = (pieces: string[]): Bytes => {
  const event = (delta: Record<string, string>, finish_reason: string | null) => {
    const choices = [{ index: 0, delta, finish_reason }]
    const chunk = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'demo', choices }
    return `data: ${JSON.stringify(chunk)}\n\n`
  }
  const text = pieces.map((content) => event({ content }, null)).join('')
  return utf8(`${text}${event({}, 'stop')}data: [DONE]\n\n`)
}
