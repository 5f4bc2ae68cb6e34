// The relay's calls to the embassy: one for each step of a session, over the embassy's Unix socket.
import {
  type Abort,
  abortedSchema,
  type Code,
  type Commit,
  committedSchema,
  fromRpcError,
  type Opened,
  type OpenRequest,
  openedSchema,
  parseRpc,
  type Revealed,
  revealedSchema,
  SealedError,
} from '@sealed/protocol'
import { Pool } from 'undici'

export class EmbassyClient {
  readonly #pool: Pool

  constructor(socketPath: string) {
    // A reveal waits for a replica: timeouts are the session's, kept by the embassy.
    this.#pool = new Pool('http://embassy', {
      socketPath,
      connections: 256,
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  async open(request: OpenRequest): Promise<Opened> {
    // A plain session may have been revealed before the embassy went away; one that could not be asked has not begun.
    const lost = request.door === 'plain' ? 'session.aborted' : 'embassy.unavailable'
    return parseRpc(
      openedSchema,
      await this.#post('/sessions', request, lost, 'embassy.unavailable'),
      'opened',
    )
  }

  async reveal(session: string): Promise<Revealed> {
    return parseRpc(
      revealedSchema,
      await this.#post(`/sessions/${session}/reveal`, {}, 'session.aborted'),
      'revealed',
    )
  }

  async commit(session: string, commit: Commit): Promise<string> {
    return parseRpc(
      committedSchema,
      await this.#post(`/sessions/${session}/commit`, commit, 'session.aborted'),
      'committed',
    ).receipt
  }

  /** Ends a session early; the receipt, where something had been revealed. */
  async abort(session: string, abort: Abort): Promise<string | undefined> {
    return parseRpc(
      abortedSchema,
      await this.#post(`/sessions/${session}/abort`, abort, 'session.aborted'),
      'aborted',
    ).receipt
  }

  async #post(path: string, body: unknown, lost: Code, unreached = lost): Promise<unknown> {
    let statusCode: number
    let value: unknown
    try {
      const answer = await this.#pool.request({
        path,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      statusCode = answer.statusCode
      value = await answer.body.json()
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const reached = code !== 'ECONNREFUSED' && code !== 'ENOENT'
      throw new SealedError(
        reached ? lost : unreached,
        'the embassy does not answer; it is being started again',
        {
          cause,
        },
      )
    }
    if (statusCode !== 200) throw fromRpcError(value)
    return value
  }
}
