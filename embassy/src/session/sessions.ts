// Every session of this embassy, from admission to receipt. Decisions are the machine's; what is done about them is
// here: seal before reveal, both durable points before their effect, an abort's receipt, deadlines.
import {
  type Abort,
  type AbortReason,
  type Commit,
  type Limits,
  type Opened,
  type OpenRequest,
  type Revealed,
  SealedError,
  SessionFailure,
  type Statement,
  toBase64url,
} from '@sealed/protocol'
import { clear } from '../activations/sweep.ts'
import { insist } from '../ledger/insist.ts'
import type { ClosedSession, Ledger } from '../ledger/ledger.ts'
import type { Fleet } from '../replicas/fleet.ts'
import type { ReplicaLink } from '../seal/index.ts'
import type { FreeDisk } from '../store/free-disk.ts'
import { type Draft, monoUs } from '../store/stamp.ts'
import type { Closing } from '../store/step.ts'
import type { Store } from '../store/store.ts'
import { type AdmissionDeps, admit, signingHalf } from './admission.ts'
import { Cooperation } from './cooperation.ts'
import { isOwed, judge, reasonOf } from './judge.ts'
import { ensureCallerBelow, ensureQueueBelow } from './limits.ts'
import { opening, openingOfReading } from './opening.ts'
import { idTaken, over, replayed } from './refusals.ts'
import { revealedTo } from './revealed.ts'
import type { Session } from './session.ts'

export type Ended = Pick<ClosedSession, 'receipt'>

/** A session admitted; on the plain door its reveal is still to come. */
export type Admitted =
  | Extract<Opened, { door: 'envelope' }>
  | Omit<Extract<Opened, { door: 'plain' }>, 'revealed'>

export interface SessionsDeps extends AdmissionDeps {
  store: Store
  fleets: ReadonlyMap<string, Fleet>
  ledger: Ledger
  limits: Limits
  disk: Pick<FreeDisk, 'ensureRoom'>
  /** Digest of the current attestation document. */
  document: () => string
  log: (message: string, fields: Record<string, unknown>) => void
}

export class Sessions {
  readonly #deps: SessionsDeps
  readonly #open = new Map<string, Session>()
  /** Aborts on their way into the log: whoever asks about one of these sessions is told how it ended. */
  readonly #closing = new Map<string, Promise<ClosedSession | undefined>>()

  constructor(deps: SessionsDeps) {
    this.#deps = deps
  }

  /** Admits a request; nothing is sealed yet and nothing leaves a trace. */
  async open(request: OpenRequest): Promise<Admitted> {
    this.#deps.disk.ensureRoom()
    const { limits, nonces } = this.#deps
    ensureCallerBelow(limits.caller_sessions, request.caller, this.#open.values())
    const session = await admit(request, this.#deps)
    // The relay draws the ids of plain sessions.
    if (this.#open.has(session.id)) throw idTaken()
    const free = this.#fleet(session).pool.freeFor(session.tenant)
    ensureQueueBelow(limits.queue + free, session, this.#open.values())
    if (session.nonce !== undefined && !nonces.take(session.nonce)) throw replayed()
    this.#open.set(session.id, session)
    session.deadline = setTimeout(
      () => void this.#end(session, 'deadline'),
      limits.queue_ms + 10_000,
    )
    if (session.door.kind === 'plain')
      return { door: 'plain', salt: toBase64url(session.salt), session: session.id }
    const { inputKey, responseSecret } = session.door
    return {
      door: 'envelope',
      response_secret: toBase64url(responseSecret),
      session: session.id,
      signing_key: toBase64url(signingHalf(inputKey)),
    }
  }

  /** Waits for a replica, seals it, makes the opening durable, and only then gives the key. */
  async reveal(id: string): Promise<Revealed> {
    const session = this.#find(id)
    if (session.action.type === 'read') return this.#read(session, session.action.after)
    const { limits } = this.#deps
    const fleet = this.#fleet(session)
    session.step('begin')
    try {
      this.#deps.disk.ensureRoom()
      session.replica = await fleet.pool.acquire(
        limits.queue_ms,
        session.cancel.signal,
        session.tenant,
      )
      await this.#enforce(session, fleet)
      await this.#openOnDisk(session)
      this.#clearFirst(session)
    } catch (error) {
      await this.#unwind(session, fleet, error)
      throw error
    }
    session.step('revealed')
    if (fleet.workload.config.protocol === 'cooperative')
      session.cooperation = new Cooperation(session.door)
    if (session.cancel.signal.aborted) {
      await this.#end(session, session.abortReason ?? 'client.gone')
      throw session.cancel.signal.reason
    }
    clearTimeout(session.deadline)
    session.deadline = setTimeout(
      () => void this.#end(session, 'deadline'),
      limits.workload_ms + limits.activations_ms + 5_000,
    )
    return revealedTo(session, fleet.workload, limits)
  }

  /** The input key, for the workload behind this link that takes part itself; accepted once. */
  revealToWorkload(link: ReplicaLink, id: string): Uint8Array {
    return this.#cooperating(link, id).reveal()
  }

  /** The workload's commitment to its output: the session ends well only with that very output. */
  unseal(link: ReplicaLink, id: string, outputSha256: string): void {
    this.#cooperating(link, id).unseal(outputSha256)
  }

  /** A session that this workload works on, and no other: which there are besides is not its business. */
  #cooperating(link: ReplicaLink, id: string): Cooperation {
    const session = this.#open.get(id)
    if (session?.state === 'revealed' && session.replica?.link === link && session.cooperation)
      return session.cooperation
    throw new SealedError('request.not_found', 'no such session is open in this replica')
  }

  /** Takes the commitment to the output, applies the registry, writes the leaf, lets go, and answers with the receipt. */
  async commit(id: string, commit: Commit): Promise<ClosedSession> {
    const session = this.#open.get(id) ?? (await this.#ended(id))
    session.step('commit')
    clearTimeout(session.deadline)
    const fleet = this.#fleet(session)
    const replica = session.replica!
    let closing: Closing
    try {
      closing = await judge(session, fleet, commit, this.#deps)
    } catch (error) {
      return this.#refuse(session, commit.output_bytes, error)
    }
    try {
      const closed = await this.#deps.ledger.close(closing, () => {
        session.step('closed')
        if (isOwed(closing, fleet, commit.status)) fleet.retire(replica, 'activations.missing')
        else fleet.leave(replica, session.id)
      })
      this.#forget(session)
      return closed
    } catch (error) {
      if (session.state === 'committing') return this.#refuse(session, commit.output_bytes, error)
      // The leaf is durable; only its proof is late. The receipt follows when the ledger is able again.
      this.#forget(session)
      throw error
    }
  }

  /** Ends a session early; answers with the receipt where something had been revealed, also if it had ended already. */
  async abort(id: string, { reason, output_bytes }: Abort): Promise<Ended | undefined> {
    const session = this.#open.get(id)
    return session ? this.#end(session, reason, output_bytes) : this.#receiptOf(id)
  }

  /** Ends every session: the relay that held them is gone. */
  async abortAll(reason: AbortReason): Promise<void> {
    await Promise.allSettled([...this.#open.values()].map((session) => this.#end(session, reason)))
  }

  /** The replica of this session has died or a probe has got through. */
  async abortReplica(replica: Session['replica'], reason: AbortReason): Promise<void> {
    const held = [...this.#open.values()].filter((session) => session.replica === replica)
    await Promise.all(held.map((session) => this.#end(session, reason)))
  }

  /** Closes what an earlier life of the embassy left open: sessions, then the epochs that they were in. */
  async recover(): Promise<number> {
    const { ledger, log, store } = this.#deps
    const left = await store.run('openSessions', undefined)
    const [epochs, sessions] = [left.filter(isEpoch), left.filter((one) => !isEpoch(one))]
    const reason = 'embassy.restarted'
    for (const { id, statements } of sessions) {
      const last = statements.at(-1)?.type
      if (last === 'request.received' || last === 'tpm.absent') {
        ledger.drop(id)
        continue
      }
      const abort: Draft = { type: 'session.aborted', at: 'revealed', output_bytes: 0, reason }
      await ledger.close({ session: id, statements, end: { kind: 'abort', abort } })
      log('session closed after restart', { session: id })
    }
    for (const { id, statements } of epochs)
      await ledger.end(id, statements, [{ type: 'epoch.ended', how: 'destroyed', reason }])
    return sessions.length
  }

  async #enforce(session: Session, fleet: Fleet): Promise<void> {
    const replica = session.replica!
    const entered = await fleet.enter(replica, session)
    session.sealedAt = monoUs()
    session.cancel.signal.throwIfAborted()
    session.statements = opening(session, replica, fleet.workload, entered, fleet.unsealed)
    replica.sessionsBefore += 1
  }

  /** Durable point A. */
  async #openOnDisk(session: Session): Promise<void> {
    this.#deps.ledger.ensureAble()
    const { id, nonce, statements } = session
    const once = nonce !== undefined && session.door.kind === 'envelope' ? { nonce } : {}
    const epoch = session.replica?.epoch
    await this.#deps.ledger.open({
      id,
      ...once,
      statements,
      document: this.#deps.document(),
      ...(epoch && !epoch.isOnDisk && { epoch: { id: epoch.id, statements: epoch.begun } }),
    })
    if (epoch) epoch.isOnDisk = true
    if (statements[1]?.type === 'seal.enforced') session.replica!.egressOpenMs = 0
  }

  /** The last thing before the reveal: from here on nothing tells a late file of an earlier session from this one's. */
  #clearFirst(session: Session): void {
    // In an epoch its name does.
    if (session.replica!.epoch) return
    try {
      clear(session.replica!.activations)
    } catch (error) {
      this.#deps.ledger.drop(session.id)
      this.#fleet(session).retire(session.replica!, 'activations.invalid')
      throw error
    }
  }

  /** Nothing was revealed: the seal is let go again and no trace stays. */
  async #unwind(session: Session, fleet: Fleet, error: unknown): Promise<void> {
    session.step('unwound')
    this.#forget(session)
    if (!session.replica) return
    if (session.sealedAt > 0n) fleet.leave(session.replica, session.id)
    else await fleet.lose(session.replica, reasonOf(error))
  }

  /** The commit is refused: the output is withheld, the replica destroyed, and the receipt says why. */
  async #refuse(session: Session, outputBytes: number, error: unknown): Promise<never> {
    session.step('refused')
    const code = error instanceof SealedError ? error.code : 'internal.error'
    const closed = await this.#closeAborted(session, reasonOf(error), outputBytes)
    const message =
      error instanceof SealedError ? error.message : 'an unexpected failure; see the embassy’s log'
    throw new SessionFailure(code, message, {
      cause: error,
      ...(closed && { receipt: closed.receipt }),
    })
  }

  async #end(
    session: Session,
    reason: AbortReason,
    outputBytes = 0,
  ): Promise<ClosedSession | undefined> {
    const effects = session.step('abort')
    if (effects.includes('cancel')) {
      session.abortReason = reason
      session.cancel.abort(new SealedError('session.aborted', `the session ended: ${reason}`))
    }
    if (effects.includes('forget')) this.#forget(session)
    return effects.includes('close') ? this.#closeAborted(session, reason, outputBytes) : undefined
  }

  #closeAborted(
    session: Session,
    reason: AbortReason,
    outputBytes: number,
  ): Promise<ClosedSession | undefined> {
    const closing = this.#writeAbort(session, reason, outputBytes)
    this.#closing.set(session.id, closing)
    return closing.finally(() => this.#closing.delete(session.id))
  }

  async #writeAbort(
    session: Session,
    reason: AbortReason,
    outputBytes: number,
  ): Promise<ClosedSession | undefined> {
    const replica = session.replica!
    const fleet = this.#fleet(session)
    // The workload has answered, and nothing of its answer leaves: its replica goes on once the leaf is durable, or any
    // caller could have it destroyed by asking what it refuses.
    let goesOn = reason === 'workload.refused' && !replica.epoch
    if (!goesOn) fleet.abandon(replica, session.id, reason)
    this.#forget(session)
    const abort: Draft = {
      type: 'session.aborted',
      at: 'revealed',
      output_bytes: outputBytes,
      reason,
    }
    this.#deps.log('session aborted', { session: session.id, reason })
    const closing: Closing = {
      session: session.id,
      statements: session.statements,
      end: { kind: 'abort', abort },
      account: session.account,
    }
    try {
      return await this.#deps.ledger.close(closing, () => {
        if (goesOn) fleet.leave(replica, session.id)
        goesOn = false
      })
    } catch (error) {
      if (goesOn) fleet.abandon(replica, session.id, reason)
      this.#deps.log('abort not written yet', {
        session: session.id,
        error: (error as Error).message,
      })
      // The opening is durable, and so must its end be.
      void insist(this.#deps.ledger, () => this.#deps.ledger.close(closing))
      return undefined
    }
  }

  /** `read`: no replica and no seal take part. */
  async #read(session: Session, after: number | undefined): Promise<Revealed> {
    const { id } = session
    session.step('begin')
    session.statements = openingOfReading(session, this.#fleet(session).unsealed)
    try {
      this.#deps.disk.ensureRoom()
      await this.#openOnDisk(session)
      const end = {
        kind: 'read',
        authority: session.authority!,
        salt: session.salt,
        ...(after !== undefined && { after }),
      } as const
      const { statements } = session
      const closing: Closing = { session: id, statements, end }
      const closed = await this.#deps.ledger.close(closing).catch((error: unknown) => {
        // Nothing was given. Where it has no leaf either, what its opening left on disk goes with the next step.
        this.#deps.ledger.drop(id)
        throw error
      })
      return { kind: 'reading', reading: closed.reading!, receipt: closed.receipt }
    } finally {
      session.step('closed')
      this.#forget(session)
    }
  }

  #fleet(session: Session): Fleet {
    return this.#deps.fleets.get(session.workload)!
  }

  #find(id: string): Session {
    const session = this.#open.get(id)
    if (!session) throw over()
    return session
  }

  /** Throws what is to be said of a session that is not open, with its receipt where it has one. */
  async #ended(id: string): Promise<never> {
    throw over((await this.#receiptOf(id))?.receipt)
  }

  async #receiptOf(id: string): Promise<Ended | undefined> {
    const closing = await this.#closing.get(id)
    if (closing) return closing
    const receipt = await this.#deps.ledger.receipt(id)
    return receipt === undefined ? undefined : { receipt }
  }

  #forget(session: Session): void {
    clearTimeout(session.deadline)
    this.#open.delete(session.id)
    if (session.nonce !== undefined) this.#deps.nonces.release(session.nonce)
  }
}

const isEpoch = ({ statements }: { statements: Statement[] }): boolean =>
  statements[0]?.type === 'epoch.begun'
