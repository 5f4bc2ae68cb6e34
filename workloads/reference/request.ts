// What a completion request asks of the demo model, checked: members that change the answer are honoured or refused,
// never ignored.
import { RequestError } from '../server/openai-server.ts'

export interface CompletionRequest {
  /** The last user message, or the text prompt. */
  prompt: string
  maxTokens: number
  temperature: number
  seed: number
  /** The answer ends before the first of these. */
  stop: readonly string[]
}

type Body = Readonly<Record<string, unknown>>

/** Members that this model cannot honour, and the values that ask for nothing; so do empty lists and objects. */
const UNSUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  n: [1],
  best_of: [1],
  suffix: [],
  echo: [false],
  logprobs: [false],
  top_logprobs: [0],
  logit_bias: [],
  tools: [],
  functions: [],
  response_format: ['{"type":"text"}'],
  top_p: [1],
  frequency_penalty: [0],
  presence_penalty: [0],
}

const bad = (param: string, message: string) =>
  new RequestError(400, 'invalid_value', `${param}: ${message}`, param)

export function parseRequest(body: Body, chat: boolean): CompletionRequest {
  for (const [name, harmless] of Object.entries(UNSUPPORTED))
    if (!asksNothing(body[name], harmless))
      throw new RequestError(
        400,
        'unsupported_parameter',
        `${name}: this model cannot honour it; leave it out`,
        name,
      )
  return {
    prompt: chat ? lastUserMessage(body.messages) : text(body.prompt, 'prompt'),
    maxTokens: Math.floor(number(body, ['max_completion_tokens', 'max_tokens'], 64, 1, 4096)),
    temperature: number(body, ['temperature'], 0, 0, 2),
    seed: number(body, ['seed'], 1, 0, 2 ** 32 - 1),
    stop: stopSequences(body.stop),
  }
}

/** One or up to four, as OpenAI has it. */
function stopSequences(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value ?? []].flat()
  if (list.length > 4) throw bad('stop', 'must be at most four')
  return list.map((one) => {
    if (typeof one !== 'string' || one === '') throw bad('stop', 'must be text that is not empty')
    return one
  })
}

function asksNothing(value: unknown, harmless: readonly unknown[]): boolean {
  if (value === undefined || value === null || harmless.includes(value)) return true
  if (typeof value !== 'object') return false
  return Object.keys(value).length === 0 || harmless.includes(JSON.stringify(value))
}

/** The model answers single questions: what came before the last one is not part of its prompt. */
function lastUserMessage(messages: unknown): string {
  if (!Array.isArray(messages) || messages.length === 0)
    throw bad('messages', 'must be a list of messages')
  const last = messages.findLast(
    (message) => (message as { role?: unknown } | null)?.role === 'user',
  ) as { content?: unknown } | undefined
  if (!last) throw bad('messages', 'must hold a message of the user')
  const { content } = last
  if (!Array.isArray(content)) return text(content, 'messages')
  return content.map((part) => text((part as { text?: unknown } | null)?.text, 'messages')).join('')
}

function text(value: unknown, param: string): string {
  if (typeof value !== 'string') throw bad(param, 'must be text')
  return value
}

function number(
  body: Body,
  names: readonly string[],
  fallback: number,
  least: number,
  most: number,
): number {
  for (const name of names) {
    const value = body[name]
    if (value === undefined || value === null) continue
    if (typeof value !== 'number' || !(value >= least && value <= most))
      throw bad(name, `must lie between ${least} and ${most}`)
    return value
  }
  return fallback
}
