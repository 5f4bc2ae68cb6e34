// The relay's calls to the embassy: one for each step of a session, over one connection to the embassy's Unix socket.
import { connect, type Socket } from 'node:net'
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
import { Lines } from '../lines.ts'
import type { Answer, Call, CallName } from '../server/channel.ts'

/** Above any answer: a reading with all the openings, meters and references that one may hold, and its receipt. */
const MAX_ANSWER_CHARS = 16 * 1024 * 1024

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
  /** What it means when the embassy goes away in the middle, and when it was never reached. */
  lost: Code
  unreached: Code
}
interface Connection {
  socket: Socket
  lines: Lines
  pending: Map<number, Pending>
}

export class EmbassyClient {
  readonly #path: string
  #connection: Connection | undefined
  #number = 0

  constructor(socketPath: string) {
    this.#path = socketPath
  }

  async open(request: OpenRequest): Promise<Opened> {
    // A plain session may have been revealed before the embassy went away; one that could not be asked has not begun.
    const lost = request.door === 'plain' ? 'session.aborted' : 'embassy.unavailable'
    const opened = await this.#call('open', '', request, lost, 'embassy.unavailable')
    return parseRpc(openedSchema, opened, 'opened')
  }

  async reveal(session: string): Promise<Revealed> {
    const revealed = await this.#call('reveal', session, {}, 'session.aborted')
    return parseRpc(revealedSchema, revealed, 'revealed')
  }

  async commit(session: string, commit: Commit): Promise<string> {
    const committed = await this.#call('commit', session, commit, 'session.aborted')
    return parseRpc(committedSchema, committed, 'committed').receipt
  }

  /** Ends a session early; the receipt, where something had been revealed. */
  async abort(session: string, abort: Abort): Promise<string | undefined> {
    const aborted = await this.#call('abort', session, abort, 'session.aborted')
    return parseRpc(abortedSchema, aborted, 'aborted').receipt
  }

  /** A call waits for as long as its session does: deadlines are kept by the embassy. */
  #call(
    name: CallName,
    session: string,
    body: unknown,
    lost: Code,
    unreached = lost,
  ): Promise<unknown> {
    this.#connection ??= this.#connect()
    const { lines, pending } = this.#connection
    const call: Call = [++this.#number, name, session, body]
    return new Promise((resolve, reject) => {
      pending.set(call[0], { resolve, reject, lost, unreached })
      lines.write(call)
    })
  }

  #connect(): Connection {
    const socket = connect(this.#path)
    const pending = new Map<number, Pending>()
    let reached = false
    let cause: Error | undefined
    socket.once('connect', () => {
      reached = true
    })
    socket.on('error', (error) => {
      cause = error
    })
    socket.once('close', () => {
      if (this.#connection?.socket === socket) this.#connection = undefined
      for (const { reject, lost, unreached } of pending.values())
        reject(
          new SealedError(
            reached ? lost : unreached,
            'the embassy does not answer; it is being started again',
            { cause },
          ),
        )
    })
    const lines = new Lines(socket, MAX_ANSWER_CHARS, (line) => {
      const [number, succeeded, value] = line as Answer
      const call = pending.get(number)
      pending.delete(number)
      if (succeeded) call?.resolve(value)
      else call?.reject(fromRpcError(value))
    })
    return { socket, lines, pending }
  }
}
