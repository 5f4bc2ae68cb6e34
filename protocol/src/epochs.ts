// Epochs of a whole log, held against its sessions (SPEC.md, "Epochs"): who holds every leaf sees that each epoch that
// began has ended, around all its sessions, and that no session was told of fewer others beside it than the log shows.
import { SealedError } from './errors.ts'
import { checkEpochGrammar, checkGrammar } from './grammar.ts'
import type { EpochLeaf, SessionLeaf, Statement } from './statement.ts'

export interface Epochs {
  ended: number
  /** Epochs that sessions name and that have no leaf: still on, or of a machine that never started again. */
  open: string[]
}

type Sealed = Extract<Statement, { type: 'seal.enforced' | 'seal.joined' }>

/** A session as far as its epoch goes. */
interface Member {
  session: string
  sealed: Sealed
  /** Between these, in microseconds, it was in the replica for certain. */
  from: bigint
  to: bigint
  /** Others beside it as it says itself, of those that it had by then; undefined where it was aborted. */
  kept: { beside: number; by: bigint } | undefined
}

/** Leaves of logs in their order, one boot's after another's. Throws `receipt.invalid` naming session or epoch. */
export function checkEpochs(leaves: readonly (SessionLeaf | EpochLeaf)[]): Epochs {
  const open = new Map<string, Member[]>()
  const ended = new Set<string>()
  for (const leaf of leaves) {
    if (leaf.kind === 'epoch') {
      if (ended.has(leaf.epoch)) throw wrong(`epoch ${leaf.epoch} ends twice`)
      end(leaf, open.get(leaf.epoch) ?? [])
      ended.add(leaf.epoch)
      open.delete(leaf.epoch)
      continue
    }
    const member = memberOf(leaf)
    if (!member) continue
    const epoch = member.sealed.epoch!
    if (ended.has(epoch)) throw wrong(`session ${leaf.session} is of an epoch that had ended`)
    const members = open.get(epoch)
    if (members) members.push(member)
    else open.set(epoch, [member])
  }
  for (const members of open.values()) checkCompany(members)
  return { ended: ended.size, open: [...open.keys()] }
}

function memberOf({ session, statements }: SessionLeaf): Member | undefined {
  const sealed = statements[1]!
  if (sealed.type !== 'seal.enforced' && sealed.type !== 'seal.joined') return undefined
  if (sealed.epoch === undefined) return undefined
  checkGrammar(statements)
  const kept = statements.find((one) => one.type === 'seal.kept')
  const applied = statements.findIndex((one) => one.type === 'registry.applied')
  return {
    session,
    sealed,
    from: BigInt(sealed.mono_us),
    // What aborts it is stated once it has left.
    to: BigInt(statements.at(kept ? -1 : -2)!.mono_us),
    // From there on all statements are made at once, after it was asked who is there.
    kept: kept && {
      beside: kept.sessions_overlapping,
      by: BigInt(statements[applied - 1]!.mono_us),
    },
  }
}

function end({ epoch, statements }: EpochLeaf, members: readonly Member[]): void {
  checkEpochGrammar(statements)
  const begun = statements[0]!
  const last = statements.at(-1)!
  if (begun.type !== 'epoch.begun' || last.type !== 'epoch.ended') return
  const firsts = members.filter(({ sealed }) => sealed.type === 'seal.enforced')
  if (firsts.length > 1) throw wrong(`epoch ${epoch} was begun by two sessions`)
  // A machine that started again has another clock.
  const hasClock = last.reason !== 'embassy.restarted'
  for (const { from, sealed, session, to } of members) {
    for (const member of ['generation', 'image', 'policy', 'replica', 'ruleset_digest'] as const)
      if (sealed[member] !== begun[member])
        throw wrong(`session ${session} has another ${member} than its epoch`)
    if (from < BigInt(begun.mono_us) || (hasClock && to > BigInt(last.mono_us)))
      throw wrong(`session ${session} reaches beyond its epoch`)
  }
  checkCompany(members)
}

/** Those that came until `by`, less those that had left before it came and itself, were beside a session at least. */
function checkCompany(members: readonly Member[]): void {
  const came = members.map(({ from }) => from).sort(ascending)
  const left = members.map(({ to }) => to).sort(ascending)
  for (const { from, kept, session } of members) {
    if (!kept) continue
    const seen = below(came, kept.by + 1n) - below(left, from) - 1
    if (kept.beside < seen)
      throw wrong(`session ${session} says ${kept.beside} beside it, the log shows ${seen}`)
  }
}

/** How many of these, in order, are below `limit`. */
function below(ordered: readonly bigint[], limit: bigint): number {
  let [low, high] = [0, ordered.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ordered[middle]! < limit) low = middle + 1
    else high = middle
  }
  return low
}

const ascending = (a: bigint, b: bigint) => (a < b ? -1 : Number(a > b))

const wrong = (message: string) => new SealedError('receipt.invalid', `log: ${message}`)
