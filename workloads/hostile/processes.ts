// Workloads that die, hang or eat what they are given. Process number 1 of a container cannot kill itself by a signal,
// so dying is an exit.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { answerWell, type Behaviour, handOverFor, number } from './behaviour.ts'

const HALF = '{"id":"chatcmpl-half","object":"chat.completion","choices":['

function startAnswer(call: Parameters<Behaviour>[0]): Promise<unknown> {
  call.response.writeHead(200, { 'content-type': 'application/json', 'content-length': 4096 })
  return new Promise((resolve) => call.response.write(HALF, resolve))
}

const forever = (call: Parameters<Behaviour>[0]): Promise<unknown> =>
  call.signal.aborted ? Promise.resolve() : once(call.signal, 'abort')

export const PROCESSES: Readonly<Record<string, Behaviour>> = {
  crash: () => process.exit(1),

  async 'crash-in-answer'(call) {
    handOverFor(call)
    await startAnswer(call)
    process.exit(1)
  },

  'crash-after-activations'(call) {
    handOverFor(call)
    process.exit(1)
  },

  async 'crash-after-answer'(call) {
    handOverFor(call)
    answerWell(call)
    await once(call.response, 'close')
    process.exit(1)
  },

  /** Never answers; gives its turn up when the client leaves. */
  async hang(call) {
    await forever(call)
  },

  async 'hang-in-answer'(call) {
    handOverFor(call)
    await startAnswer(call)
    await forever(call)
  },

  /** Stops hearing anything at all, `/health` included, without using any CPU. */
  'hang-deaf'() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },

  /** A good answer after `ms` (1,000). */
  async slow(call, options) {
    await delay(number(options, 'ms', 1_000), undefined, { signal: call.signal })
    handOverFor(call)
    answerWell(call)
  },

  /** Takes memory until something stops it, at most `bytes` (1 GiB); then answers well. */
  async 'eat-memory'(call, options) {
    const eaten: Buffer[] = []
    const step = 16 * 1024 * 1024
    for (let size = 0; size < number(options, 'bytes', 2 ** 30); size += step) {
      eaten.push(Buffer.alloc(step, 1))
      await delay(1)
    }
    handOverFor(call)
    answerWell(call, { eaten: String(eaten.length * step) })
  },
}
