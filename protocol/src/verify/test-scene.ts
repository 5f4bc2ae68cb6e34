// Lies told to a verifier: one machine, its four kinds of session, and the ways to make them say what is not so.
import type { Configuration, QuotedDocument } from '../attestation.ts'
import { canonicalBytes, parseCanonical } from '../json.ts'
import type { Policy } from '../policy.ts'
import { encodeReceipt, type QuotedReceipt } from '../receipt.ts'
import type { Statement, StatementType } from '../statement.ts'
import type { CheckId } from './checks.ts'
import { makeInput, makeSession, type Session } from './test-session.ts'
import { createWorld, type Lies, makeReceipt, NOW, reconfigured, type World } from './test-world.ts'
import { type ReceiptInput, type Verdict, verifyReceipt } from './verify-receipt.ts'

/** What a verifier is given. */
export interface Case {
  input: ReceiptInput
  policy?: Partial<Policy>
  now?: number
}

export const failures = (verdict: Verdict): CheckId[] =>
  verdict.checks.filter(({ result }) => result === 'fail').map(({ id }) => id)

/** The statement of that type, to be changed in place. */
export function said<T extends StatementType>(statements: Statement[], type: T) {
  return statements.find((s) => s.type === type) as Extract<Statement, { type: T }>
}

/** Leaves out the statement of that type; the others are numbered anew. */
export function unsaid(statements: Statement[], type: StatementType): void {
  statements.splice(
    statements.findIndex((s) => s.type === type),
    1,
  )
  for (const [seq, statement] of statements.entries()) statement.seq = seq
}

export function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const out = bytes.slice()
  out[bit >> 3]! ^= 1 << (bit & 7)
  return out
}

export class Scene {
  readonly world: World
  readonly completed: Session
  readonly aborted: Session
  readonly reading: Session
  readonly plain: Session

  private constructor(world: World, sessions: [Session, Session, Session, Session]) {
    this.world = world
    ;[this.completed, this.aborted, this.reading, this.plain] = sessions
  }

  static async create(kind?: 'ecdsa' | 'rsassa'): Promise<Scene> {
    const world = await createWorld(kind)
    const make = (session: 'completed' | 'aborted' | 'reading' | 'plain') =>
      makeSession(world, session)
    const sessions = [make('completed'), make('aborted'), make('reading'), make('plain')] as const
    return new Scene(world, await Promise.all(sessions))
  }

  judge({ input, policy, now }: Case): Promise<Verdict> {
    return verifyReceipt(input, { ...this.world.policy, ...policy }, now ?? NOW + 1000)
  }

  /** The completed session, with these lies signed. */
  async lie(lies: Lies, policy?: Partial<Policy>): Promise<Case> {
    const input = await makeInput(this.world, this.completed, lies)
    return { input, ...(policy && { policy }) }
  }

  /** The completed session, with these statements signed. */
  tell(statements: (all: Statement[]) => void): Promise<Case> {
    return this.lie({ statements })
  }

  /** The completed session, on a machine that is configured otherwise and says so. */
  async configured(
    change: (configuration: Configuration) => void,
    lies: Lies = {},
    policy: Partial<Policy> = {},
  ): Promise<Case> {
    const world = await reconfigured(this.world, change)
    return { input: await makeInput(world, this.completed, lies), policy }
  }

  /** A receipt changed after it was signed, as one who holds no key can. */
  async tamper(edit: (receipt: QuotedReceipt, document: QuotedDocument) => unknown): Promise<Case> {
    const { document, receipt } = await makeReceipt(this.world, this.completed.statements)
    await edit(receipt, document)
    return { input: { ...this.completed.given, document, receipt: encodeReceipt(receipt) } }
  }

  /** A true receipt beside something else than what was sent or received. */
  async give(given: Partial<ReceiptInput>, session = this.completed): Promise<Case> {
    return { input: { ...(await makeInput(this.world, session)), ...given } }
  }

  /** A true receipt under another policy. */
  async under(policy: Partial<Policy>): Promise<Case> {
    return this.lie({}, policy)
  }

  /** A true receipt beside an envelope that was changed after it was sent. */
  requestWith(change: (envelope: Record<string, string>) => unknown): Promise<Case> {
    const envelope = parseCanonical(this.completed.given.request!) as Record<string, string>
    change(envelope)
    return this.give({ request: canonicalBytes(envelope) })
  }
}
