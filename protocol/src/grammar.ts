// The order in which statements may stand in a session (SPEC.md, "Grammar"), as a state machine. A receipt whose
// signature is right and whose grammar is wrong is no receipt.
import { SealedError } from './errors.ts'
import type { Statement, StatementType } from './statement.ts'

type Edges = Partial<Record<StatementType, State>>
type State =
  | 'start'
  | 'received'
  | 'enforced'
  | 'revealed'
  | 'observed'
  | 'applied'
  | 'checked'
  | 'committed'
  | 'released'
  | 'read'
  | 'end'

const ABORT: Edges = { 'session.aborted': 'end' }
const GRAMMAR: Record<State, Edges> = {
  start: { 'request.received': 'received' },
  received: { 'seal.enforced': 'enforced', 'seal.joined': 'enforced', 'registry.read': 'read' },
  enforced: { 'input_key.revealed': 'revealed', ...ABORT },
  revealed: { 'activations.observed': 'observed', 'registry.applied': 'applied', ...ABORT },
  observed: { 'activations.observed': 'observed', 'registry.applied': 'applied', ...ABORT },
  applied: { 'seal.checked': 'checked', ...ABORT },
  checked: { 'output.committed': 'committed', ...ABORT },
  committed: { 'seal.released': 'released', 'seal.kept': 'released', ...ABORT },
  released: { 'response.released': 'end' },
  read: { 'response.released': 'end' },
  end: {},
}

/** Throws `receipt.invalid` unless the statements are one whole session, numbered from 0, in time's order. */
export function checkGrammar(statements: readonly Statement[]): void {
  let state: State = 'start'
  let mono = -1n
  let utc = 0
  for (const [index, statement] of statements.entries()) {
    const next: State | undefined = GRAMMAR[state][statement.type]
    if (!next) throw wrong(`${statement.type} may not follow at position ${index} (state ${state})`)
    if (statement.seq !== index) throw wrong(`statement ${index} is numbered ${statement.seq}`)
    const at = BigInt(statement.mono_us)
    if (at < mono || statement.utc_ms < utc)
      throw wrong(`statement ${index} is earlier than the one before it`)
    mono = at
    utc = statement.utc_ms
    state = next
  }
  if (state !== 'end') throw wrong(`the session does not end (state ${state})`)
  checkMembers(statements)
}

/** Rules between members of different statements, which no single schema can say. */
function checkMembers(statements: readonly Statement[]): void {
  const received = statements[0]!
  if (received.type !== 'request.received') return
  const envelope = received.door === 'envelope'
  for (const member of ['header_digest', 'expect', 'transport_key'] as const)
    if (envelope !== (received[member] !== undefined))
      throw wrong(`${member} stands in envelope sessions and only there`)
  if (envelope === (received.input_digest !== undefined))
    throw wrong('input_digest stands in plain sessions and only there')
  const reads = statements.some((s) => s.type === 'registry.read')
  if (reads !== (received.operation === 'read')) throw wrong('operation and statements differ')
  const applied = statements.find((s) => s.type === 'registry.applied')
  if (applied && applied.operation !== received.operation)
    throw wrong('operation and registry.applied differ')
  const sealed = statements[1]!
  if (sealed.type === 'seal.enforced' || sealed.type === 'seal.joined')
    checkSeal(sealed, statements.at(-2)!)
}

type Sealed = Extract<Statement, { type: 'seal.enforced' | 'seal.joined' }>

/** An epoch is kept by each of its sessions, what is sealed for one session is released by it. */
function checkSeal(sealed: Sealed, last: Statement): void {
  if ((sealed.policy === 'epoch') !== (sealed.epoch !== undefined))
    throw wrong('epoch stands under that seal policy and only there')
  if (sealed.type === 'seal.joined' && BigInt(sealed.read_mono_us) > BigInt(sealed.mono_us))
    throw wrong('seal.joined was read after it was stated')
  if (last.type === 'seal.released' && sealed.epoch !== undefined)
    throw wrong('a session of an epoch releases nothing')
  if (last.type !== 'seal.kept') return
  if (last.epoch !== sealed.epoch) throw wrong('seal.kept is of another epoch')
  const fewer =
    last.sessions_overlapping < sealed.sessions_overlapping || last.tenants < sealed.tenants
  if (fewer) throw wrong('seal.kept counts fewer than were there at the beginning')
}

const wrong = (message: string) => new SealedError('receipt.invalid', `statements: ${message}`)
