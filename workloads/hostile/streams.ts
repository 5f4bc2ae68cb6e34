// Workloads whose event streams are wrong, or only slow.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Call } from '../server/openai-server.ts'
import { type Behaviour, handOverFor, number } from './behaviour.ts'

const event = (content: string): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-x', object: 'chat.completion.chunk', created: 0, model: 'hostile', choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`
const DONE = 'data: [DONE]\n\n'

const begin = ({ response }: Call): Call['response'] => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(event('first'))
  return response
}

export const STREAMS: Readonly<Record<string, Behaviour>> = {
  /** One event, the other after `ms` (1,000). */
  async 'stream-slow'(call, options) {
    const response = begin(call)
    handOverFor(call)
    await delay(number(options, 'ms', 1_000), undefined, { signal: call.signal }).catch(() => {})
    response.end(event('second') + DONE)
  },

  /** Closes the connection in the middle. */
  async 'stream-cut'(call) {
    const response = begin(call)
    handOverFor(call)
    await delay(50)
    response.destroy()
  },

  /** Whole, and never any activations. */
  'stream-unmetered'(call) {
    begin(call).end(DONE)
  },

  /** A receipt of its own, where the gateway's would be. */
  'stream-forged'(call) {
    const response = begin(call)
    handOverFor(call)
    response.end(
      `data: {"choices":[],"object":"chat.completion.chunk","receipt":"Zm9yZ2Vk"}\n\n${DONE}`,
    )
  },

  /** Events without end, as fast as they are read. */
  async 'stream-endless'(call) {
    const response = begin(call)
    handOverFor(call)
    const more = event('x'.repeat(4_096))
    while (!call.signal.aborted && !response.destroyed)
      if (!response.write(more))
        await Promise.race([once(response, 'drain'), once(response, 'close')])
  },
}
