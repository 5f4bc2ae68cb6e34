// Writes an answer in OpenAI's shape, whole or as a stream of events. Never sends the last byte by itself: the workload
// ends the answer, after it has handed its activations over.
import { type Call, json, RequestError } from './openai-server.ts'

export interface Ending {
  finish: 'stop' | 'length'
  promptTokens: number
  completionTokens: number
  /** Strings only, as OpenAI's `metadata` has it. */
  metadata: Readonly<Record<string, string>>
}

export class Answer {
  readonly id: string
  readonly #chat: boolean
  readonly #stream: boolean
  readonly #includeUsage: boolean
  readonly #created = Math.floor(Date.now() / 1000)
  readonly #model: string
  readonly #response: Call['response']
  #text = ''

  /** Throws a 400 when `stream` or `stream_options` is not what OpenAI defines. */
  constructor(model: string, { body, chat, requestId, response }: Call) {
    this.id = `${chat ? 'chatcmpl' : 'cmpl'}-${requestId}`
    this.#chat = chat
    this.#stream = flag(body.stream, 'stream')
    this.#includeUsage = flag(optionsOf(body).include_usage, 'stream_options')
    this.#model = model
    this.#response = response
  }

  /** Adds to the answer; a stream sends it at once. */
  text(piece: string): void {
    if (piece === '') return
    if (this.#stream)
      this.#event([{ index: 0, ...this.#delta({ content: piece }), finish_reason: null }])
    this.#text += piece
  }

  /** Sends what is left and ends the response. */
  end({ finish, promptTokens, completionTokens, metadata }: Ending): void {
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    }
    if (this.#stream) {
      this.#event([{ index: 0, ...this.#delta({}), finish_reason: finish }], { metadata })
      if (this.#includeUsage) this.#event([], { usage })
      this.#response.end('data: [DONE]\n\n')
      return
    }
    const said = this.#chat
      ? { message: { role: 'assistant', content: this.#text } }
      : { text: this.#text }
    json(this.#response, 200, {
      ...this.#frame(this.#chat ? 'chat.completion' : 'text_completion'),
      choices: [{ index: 0, ...said, finish_reason: finish }],
      usage,
      metadata,
    })
  }

  #frame(object: string): object {
    return { id: this.id, object, created: this.#created, model: this.#model }
  }

  /** The first delta of a chat names who speaks. */
  #delta(delta: { content?: string }): object {
    if (!this.#chat) return { text: delta.content ?? '' }
    return { delta: this.#response.headersSent ? delta : { role: 'assistant', ...delta } }
  }

  #event(choices: readonly object[], more: object = {}): void {
    if (!this.#response.headersSent)
      this.#response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
      })
    const frame = this.#frame(this.#chat ? 'chat.completion.chunk' : 'text_completion')
    this.#response.write(`data: ${JSON.stringify({ ...frame, choices, ...more })}\n\n`)
  }
}

function flag(value: unknown, param: string): boolean {
  if (value === undefined || value === null) return false
  if (typeof value !== 'boolean')
    throw new RequestError(400, 'invalid_value', `${param}: must be true or false`, param)
  return value
}

function optionsOf(body: Call['body']): Record<string, unknown> {
  const options = body.stream_options ?? {}
  if (typeof options !== 'object' || Array.isArray(options))
    throw new RequestError(
      400,
      'invalid_value',
      'stream_options: must be an object',
      'stream_options',
    )
  return options as Record<string, unknown>
}
