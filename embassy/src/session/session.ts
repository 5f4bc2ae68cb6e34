// One session in memory: its state and what its statements need. Owned by `Sessions`; ends with it.
import {
  type AbortReason,
  type Action,
  type EnvelopeHeader,
  randomBytes,
  type Statement,
} from '@sealed/protocol'
import type { Replica } from '../replicas/replica.ts'
import type { Draft } from '../store/stamp.ts'
import type { Cooperation } from './cooperation.ts'
import { type Effect, type Event, type State, transition } from './machine.ts'

export type Door =
  | {
      kind: 'envelope'
      header: EnvelopeHeader
      inputKey: Uint8Array
      responseSecret: Uint8Array
    }
  | { kind: 'plain' }

export class Session {
  readonly id: string
  readonly caller: string
  readonly workload: string
  readonly endpoint: string
  readonly door: Door
  readonly action: Action
  readonly authority: string | undefined
  readonly nonce: string | undefined
  /** Seal policy `permanent`: whose replica it may enter, the SHA-256 of the client's tenant secret. */
  readonly tenant: string | undefined
  /** Whose use it is, and of how many bytes. */
  readonly account: { caller: string; inputBytes: number }
  /** Salt under which contents are digested. */
  readonly salt: Uint8Array
  /** `request.received`, stamped when it was. */
  readonly received: Draft
  /** Cancels the wait for a replica, or ends the session when it holds one. */
  readonly cancel = new AbortController()
  state: State = 'opened'
  replica: Replica | undefined
  /** Where the workload takes part itself. */
  cooperation: Cooperation | undefined
  statements: Statement[] = []
  sealedAt = 0n
  deadline: NodeJS.Timeout | undefined
  abortReason: AbortReason | undefined

  constructor(fields: {
    id: string
    caller: string
    workload: string
    endpoint: string
    door: Door
    action: Action
    authority: string | undefined
    nonce: string | undefined
    tenant?: string
    inputBytes: number
    salt: Uint8Array
    received: Draft
  }) {
    this.id = fields.id
    this.caller = fields.caller
    this.workload = fields.workload
    this.endpoint = fields.endpoint
    this.door = fields.door
    this.action = fields.action
    this.authority = fields.authority
    this.nonce = fields.nonce
    this.tenant = fields.tenant
    this.account = { caller: fields.caller, inputBytes: fields.inputBytes }
    this.salt = fields.salt
    this.received = fields.received
  }

  /** Takes an event; throws when the state does not allow it. */
  step(event: Event): readonly Effect[] {
    const { state, effects } = transition(this.state, event)
    this.state = state
    return effects
  }
}

/** 128 random bits in hex: the session's id and its receipt's. */
export const newSessionId = (): string => Buffer.from(randomBytes(16)).toString('hex')
