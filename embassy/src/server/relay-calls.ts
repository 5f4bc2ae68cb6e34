// What the embassy answers the relay: the steps of a session, each timed.
import { abortSchema, commitSchema, openSchema, parseRpc } from '@sealed/protocol'
import type { Sessions } from '../session/sessions.ts'
import { type Steps, UNMEASURED } from '../steps.ts'
import type { Calls } from './channel.ts'

/** Sessions whose workload works, as far as they are timed; more than this are not. */
const MAX_TIMED = 4_096

export function relayCalls(sessions: Sessions, steps: Steps = UNMEASURED): Calls {
  const working = new Map<string, number>()
  const reveal = async (id: string) => {
    const revealed = await sessions.reveal(id)
    if (revealed.kind === 'replica' && working.size < MAX_TIMED) working.set(id, performance.now())
    return revealed
  }
  /** A session that ends in any other way than by its relay's word is not there to be timed. */
  const worked = (id: string) => {
    const since = working.get(id)
    working.delete(id)
    return since === undefined ? undefined : performance.now() - since
  }
  return {
    async open(_, body) {
      const asked = parseRpc(openSchema, body, 'open')
      const opened = await steps.time('admission', () => sessions.open(asked))
      if (opened.door === 'envelope') return opened
      return { ...opened, revealed: await reveal(opened.session) }
    },
    reveal: (id) => reveal(id),
    async commit(id, body) {
      const commit = parseRpc(commitSchema, body, 'commit')
      const ms = worked(id)
      if (ms !== undefined) steps.spent('workload', ms)
      const { receipt } = await sessions.commit(id, commit)
      return { receipt }
    },
    async abort(id, body) {
      worked(id)
      const closed = await sessions.abort(id, parseRpc(abortSchema, body, 'abort'))
      return closed ? { receipt: closed.receipt } : {}
    },
  }
}
