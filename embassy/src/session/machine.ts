// The life of one session as a pure function: what may happen in which state, and what must then be done. Reveal,
// commit and release are accepted once and in order; whatever is revealed ends in a receipt.
import { SealedError } from '@sealed/protocol'

export type State = 'opened' | 'sealed' | 'revealed' | 'committing' | 'closed' | 'aborted'
export type Event = 'enforced' | 'revealed' | 'commit' | 'refused' | 'closed' | 'abort'

/**
 * What the session's owner does after a step:
 * `forget` nothing was revealed, no leaf is made · `release` let go of the replica's seal · `close-aborted` write the
 * abort into the log · `retire` destroy the replica, which may still hold what it was given.
 */
export type Effect = 'forget' | 'release' | 'close-aborted' | 'retire'

export interface Step {
  state: State
  effects: readonly Effect[]
}

const step = (state: State, ...effects: Effect[]): Step => ({ state, effects })

const TABLE: Record<State, Partial<Record<Event, Step>>> = {
  opened: { enforced: step('sealed'), abort: step('aborted', 'forget') },
  sealed: { revealed: step('revealed'), abort: step('aborted', 'forget', 'release') },
  revealed: { commit: step('committing'), abort: step('aborted', 'close-aborted', 'retire') },
  // The commit is on its way to disk: a client that leaves now changes nothing of what is written.
  committing: {
    closed: step('closed', 'release'),
    refused: step('aborted', 'close-aborted', 'retire'),
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
