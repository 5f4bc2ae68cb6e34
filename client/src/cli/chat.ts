// The one request the CLI makes of a workload, a chat completion, and what it reads out of the answer. An answer that
// is none is shown as it came.
import { fromUtf8, SealedError, utf8 } from '@sealed/protocol'
import { type Io, readStdin } from './io.ts'
import type { Reach } from './story.ts'
import { UsageError } from './usage.ts'

export const CHAT_ENDPOINT = '/v1/chat/completions'

export interface ChatFlags {
  model?: string
  maxTokens?: number
}

/** The prompt given, or standard input for `-`, or for nothing when something is piped in. */
export async function readPrompt(given: string | undefined, io: Io): Promise<string> {
  if (given === undefined && io.stdin.isTTY)
    throw new UsageError('give a prompt, or - to read it from standard input', 'prompt')
  const text = given === undefined || given === '-' ? fromUtf8(await readStdin(io)) : given
  if (text.trim() === '') throw new UsageError('the prompt is empty', 'prompt')
  return text
}

export const chatBody = (prompt: string, flags: ChatFlags) =>
  utf8(
    JSON.stringify({
      ...(flags.model !== undefined && { model: flags.model }),
      messages: [{ role: 'user', content: prompt }],
      ...(flags.maxTokens !== undefined && { max_tokens: flags.maxTokens }),
    }),
  )

export interface ChatAnswer {
  /** The completion, or the whole body where it is none. */
  text: string
  /** The parsed body; undefined where it is no JSON. */
  json: unknown
  reached: Reach[]
}

export function readChat(output: Uint8Array): ChatAnswer {
  const text = decode(output)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { text, json: undefined, reached: [] }
  }
  const content = at(json, 'choices', 0, 'message', 'content')
  return { text: typeof content === 'string' ? content : text, json, reached: reaches(json) }
}

function reaches(json: unknown): Reach[] {
  const metadata = at(json, 'metadata')
  if (typeof metadata !== 'object' || metadata === null) return []
  return Object.entries(metadata)
    .filter(([name]) => /^(?:idle|reach)_/.test(name))
    .map(([name, said]) => ({
      name: name.slice(name.indexOf('_') + 1),
      said: typeof said === 'string' ? said : JSON.stringify(said),
      sealed: name.startsWith('reach_'),
    }))
}

function at(value: unknown, ...path: (string | number)[]): unknown {
  let here = value
  for (const step of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined
    here = (here as Record<string | number, unknown>)[step]
  }
  return here
}

function decode(output: Uint8Array): string {
  try {
    return fromUtf8(output)
  } catch (error) {
    if (error instanceof SealedError) return `(${output.length} bytes that are no text)`
    throw error
  }
}
