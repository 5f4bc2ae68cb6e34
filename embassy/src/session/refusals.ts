// What is said of a session that is not there, or cannot be begun.
import { SealedError, SessionFailure } from '@sealed/protocol'

export const over = (receipt?: string) =>
  new SessionFailure(
    'session.aborted',
    'no such session is open: it ended, or its deadline passed',
    receipt === undefined ? {} : { receipt },
  )
export const idTaken = () =>
  new SealedError('request.invalid', 'a session with this id is open', { param: 'session' })
export const replayed = () =>
  new SealedError('envelope.replayed', 'this nonce was used before: make a new envelope')
