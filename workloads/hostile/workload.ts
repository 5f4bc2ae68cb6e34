// Picks the behaviour that a request asks for.
import { RequestError, type Workload } from '../server/openai-server.ts'
import { ACTIVATION_FILES } from './activation-files.ts'
import { ANSWERS } from './answers.ts'
import { answerWell, asked, type Behaviour, handOverFor, MODEL } from './behaviour.ts'
import { FORGERIES } from './forgeries.ts'
import { PROCESSES } from './processes.ts'
import { SOCKETS } from './sockets.ts'
import { STREAMS } from './streams.ts'

/** All behaviours by name. */
export const BEHAVIOURS: ReadonlyMap<string, Behaviour> = new Map(
  [PROCESSES, ANSWERS, STREAMS, FORGERIES, ACTIVATION_FILES, SOCKETS].flatMap(
    Object.entries<Behaviour>,
  ),
)

export const hostileWorkload: Workload = {
  model: MODEL,
  abreast: true,
  async complete(call) {
    const wish = asked(call.body)
    if (!wish) {
      handOverFor(call)
      return answerWell(call)
    }
    const behaviour = BEHAVIOURS.get(wish.name)
    if (!behaviour)
      throw new RequestError(
        400,
        'unknown_behaviour',
        `no behaviour ${wish.name}; known: ${[...BEHAVIOURS.keys()].join(', ')}`,
        'behave',
      )
    await behaviour(call, wish.options)
  },
}
