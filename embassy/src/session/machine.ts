// The life of one session as a pure function: what may happen in which state, and what must then be done. Reveal,
// commit and release are accepted once and in order; whatever is revealed ends in a receipt.
import { SealedError } from '@sealed/protocol'

export type State = 'opened' | 'sealing' | 'revealed' | 'committing' | 'closed' | 'aborted'
export type Event = 'begin' | 'revealed' | 'unwound' | 'commit' | 'refused' | 'closed' | 'abort'

/**
 * What the session's owner does after a step:
 * `forget` nothing was revealed, no leaf is made · `cancel` whoever is sealing stops and unwinds ·
 * `release` let go of the replica's seal · `close` write the abort into the log and destroy the replica, which may
 * still hold what it was given.
 */
export type Effect = 'forget' | 'cancel' | 'release' | 'close'

export interface Step {
  state: State
  effects: readonly Effect[]
}

const step = (state: State, ...effects: Effect[]): Step => ({ state, effects })

const TABLE: Record<State, Partial<Record<Event, Step>>> = {
  opened: { begin: step('sealing'), abort: step('aborted', 'cancel', 'forget') },
  // Sealing is not interrupted halfway: it ends in a reveal or in an unwinding, and an abort waits for which.
  sealing: {
    revealed: step('revealed'),
    unwound: step('aborted', 'forget'),
    closed: step('closed', 'forget'),
    abort: step('sealing', 'cancel'),
  },
  revealed: { commit: step('committing'), abort: step('aborted', 'cancel', 'close') },
  // The commit is on its way to disk: a client that leaves now changes nothing of what is written.
  committing: {
    closed: step('closed', 'release'),
    refused: step('aborted', 'close'),
    abort: step('committing'),
  },
  closed: { abort: step('closed') },
  aborted: { abort: step('aborted') },
}

/** Throws `request.invalid` on an event that the state does not allow. */
export function transition(state: State, event: Event): Step {
  const next = TABLE[state][event]
  if (!next)
    throw new SealedError('request.invalid', `a session that is ${state} does not take ${event}`)
  return next
}
