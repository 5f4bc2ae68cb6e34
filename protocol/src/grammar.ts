// The order in which statements may stand in a session, and in an epoch (SPEC.md, "Grammar"), as a state machine. A
// receipt whose signature is right and whose grammar is wrong is no receipt.
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
  | 'epoch'
  | 'begun'
  | 'held'
  | 'unsealed'
  | 'unquoted'
  | 'shown'
  | 'seen'
  | 'metered'
  | 'written'
  | 'unread'
  | 'end'

const ABORT: Edges = { 'session.aborted': 'end' }
const GRAMMAR: Record<State, Edges> = {
  start: { 'request.received': 'received' },
  received: {
    'seal.enforced': 'enforced',
    'seal.joined': 'enforced',
    'registry.read': 'read',
    'seal.absent': 'unsealed',
    'tpm.absent': 'unread',
  },
  enforced: { 'input_key.revealed': 'revealed', ...ABORT },
  revealed: { 'activations.observed': 'observed', 'registry.applied': 'applied', ...ABORT },
  observed: { 'activations.observed': 'observed', 'registry.applied': 'applied', ...ABORT },
  applied: { 'seal.checked': 'checked', ...ABORT },
  checked: { 'output.committed': 'committed', ...ABORT },
  committed: { 'seal.released': 'released', 'seal.kept': 'released', ...ABORT },
  released: { 'response.released': 'end' },
  read: { 'response.released': 'end' },
  epoch: { 'epoch.begun': 'begun' },
  begun: { 'seal.checked': 'held', 'epoch.ended': 'end' },
  held: { 'epoch.ended': 'end' },
  // Where nothing is sealed, nothing of a seal is said either.
  unsealed: { 'tpm.absent': 'unquoted' },
  unquoted: { 'input_key.revealed': 'shown', ...ABORT },
  shown: { 'activations.observed': 'seen', 'registry.applied': 'metered', ...ABORT },
  seen: { 'activations.observed': 'seen', 'registry.applied': 'metered', ...ABORT },
  metered: { 'output.committed': 'written', ...ABORT },
  written: { 'response.released': 'end', ...ABORT },
  unread: { 'registry.read': 'read' },
  end: {},
}

/** Throws `receipt.invalid` unless the statements are one whole session, numbered from 0, in time's order. */
export function checkGrammar(statements: readonly Statement[]): void {
  checkOrder(statements, 'start')
  checkMembers(statements)
}

/** Throws `receipt.invalid` unless the statements are those of one epoch that has ended, with what follows from how. */
export function checkEpochGrammar(statements: readonly Statement[]): void {
  checkOrder(statements, 'epoch')
  const [begun, checked] = statements
  const ended = statements.at(-1)!
  if (begun?.type !== 'epoch.begun' || ended.type !== 'epoch.ended') return
  const isReleased = ended.how === 'released'
  if (isReleased !== (checked?.type === 'seal.checked'))
    throw wrong('seal.checked stands where a seal was let go and only there')
  if (checked?.type === 'seal.checked' && checked.ruleset_digest !== begun.ruleset_digest)
    throw wrong('the epoch ended under another ruleset than it began')
  if (isReleased && begun.policy === 'permanent')
    throw wrong('the replica of a permanent seal is not let go')
  const isPlanned = isReleased || begun.policy === 'permanent'
  if (isReleased && ended.reason !== undefined)
    throw wrong('nothing is let go for a reason to destroy')
  if (!isPlanned && ended.reason === undefined) throw wrong('it was destroyed without a reason')
}

function checkOrder(statements: readonly Statement[], from: 'start' | 'epoch'): void {
  let state: State = from
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
  if (state !== 'end') throw wrong(`there is no end (state ${state})`)
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
  if ((sealed.policy === 'request') !== (sealed.epoch === undefined))
    throw wrong('epoch stands under the policies that have one and only there')
  if (sealed.policy === 'permanent' && sealed.tenants !== 1)
    throw wrong('a permanent seal has one tenant')
  if (sealed.type === 'seal.joined' && BigInt(sealed.read_mono_us) > BigInt(sealed.mono_us))
    throw wrong('seal.joined was read after it was stated')
  if (last.type === 'seal.released' && sealed.epoch !== undefined)
    throw wrong('a session of an epoch releases nothing')
  if (last.type !== 'seal.kept') return
  if (last.epoch !== sealed.epoch) throw wrong('seal.kept is of another epoch')
  const fewer =
    last.sessions_overlapping < sealed.sessions_overlapping || last.tenants < sealed.tenants
  if (fewer) throw wrong('seal.kept counts fewer than were there at the beginning')
  if (sealed.policy === 'permanent' && last.tenants !== 1)
    throw wrong('a permanent seal has one tenant')
}

const wrong = (message: string) => new SealedError('receipt.invalid', `statements: ${message}`)
