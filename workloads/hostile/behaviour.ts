// What the hostile workload's behaviours share: how a request asks for one, and the ordinary answer that each spoils in
// one place only.
import { type Activations, handOver } from '../server/activations.ts'
import { Answer } from '../server/answer.ts'
import type { Call } from '../server/openai-server.ts'
import { statesOf } from '../server/stand-in-states.ts'

export const MODEL = 'hostile'

export type Options = Readonly<Record<string, unknown>>
/** Answers the call, or does what it is named for instead. */
export type Behaviour = (call: Call, options: Options) => Promise<void> | void

/**
 * The behaviour that a body asks for: its member `behave` (a name, or an object with `name` and options), or a last
 * message `behave: NAME`. Undefined when it asks for none.
 */
export function asked(body: Call['body']): { name: string; options: Options } | undefined {
  const { behave } = body
  if (typeof behave === 'string') return { name: behave, options: {} }
  if (typeof behave === 'object' && behave !== null) {
    const options = behave as Options
    return { name: String(options.name), options }
  }
  const name = /^behave: ([a-z0-9-]+)$/.exec(textOf(body))?.[1]
  return name === undefined ? undefined : { name, options: {} }
}

export function textOf(body: Call['body']): string {
  const { messages, prompt } = body
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined
  const text = (last as { content?: unknown } | undefined)?.content ?? prompt
  return typeof text === 'string' ? text : ''
}

export const number = (options: Options, name: string, fallback: number): number =>
  typeof options[name] === 'number' ? options[name] : fallback

export const strings = (options: Options, name: string): string[] =>
  Array.isArray(options[name]) ? options[name].map(String) : []

/** Good activations for this call, under a name of its own. */
export function activationsOf({ body }: Call, requestId: string): Activations {
  return {
    requestId,
    model: MODEL,
    modelSha256: '0'.repeat(64),
    promptTokens: 1,
    ...statesOf(textOf(body)),
  }
}

/** An answer as it should be, save for the activations: those are `handOverFor`'s. */
export function answerWell(call: Call, metadata: Record<string, string> = {}): void {
  const answer = new Answer(MODEL, call)
  answer.text('ok')
  answer.end({ finish: 'stop', promptTokens: 1, completionTokens: 1, metadata })
}

/** Hands good activations over, so that whatever else happens is the only fault. */
export function handOverFor(call: Call): void {
  handOver(activationsOf(call, `hostile-${call.requestId}`))
}
