// Connections to the relay's socket, one request at a time on each, answered in frames. Nothing here ends a silent
// answer by a timeout: the deadlines of a session are the embassy's. A request whose signal is aborted is given up at
// once, its connection closed.
import { connect, type Socket } from 'node:net'
import {
  canonicalBytes,
  concat,
  encodeRelayFrames,
  type RelayFrame,
  RelayFrameReader,
  type RelayRequest,
} from '@sealed/protocol'

/** Bytes of an answer kept ready for a reader; beyond them the relay is held back. */
const AHEAD_BYTES = 64 * 1024
/** Where every connection reads to, each piece copied out at once: Node would make as much room anew for each. */
const ROOM = Buffer.alloc(64 * 1024)

/** The relay did not answer, or stopped before the end of its answer. */
export class RelayFailure extends Error {
  /** True when no byte of the request can have reached it. */
  readonly unsent: boolean

  constructor(message: string, unsent: boolean, cause: unknown) {
    super(message, { cause })
    this.name = 'RelayFailure'
    this.unsent = unsent
  }
}

/** An answer as it comes. */
export interface RelayAnswer {
  /**
   * The next frame, `data` that lies ready as one; nothing follows `final` and `failed`. Rejects with `RelayFailure` where
   * the answer was cut, or with the signal's reason.
   */
  next(): Promise<RelayFrame>
  /** Gives up what has not come yet. */
  leave(): void
}

export class RelaySocket {
  readonly #path: string
  readonly #idle: Connection[] = []
  readonly #open = new Set<Socket>()

  constructor(path: string) {
    this.#path = path
  }

  /** Sends one request. Throws `RelayFailure`, or the signal's reason. */
  async ask(request: RelayRequest, body: Uint8Array, signal: AbortSignal): Promise<RelayAnswer> {
    signal.throwIfAborted()
    const connection = this.#idle.pop() ?? (await this.#connect())
    return connection.ask(request, body, signal, () => this.#idle.push(connection))
  }

  /** Ends every connection; requests under way fail. */
  close(): void {
    for (const socket of this.#open) socket.destroy()
  }

  #connect(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const callback = (length: number) => {
        connection.take(Buffer.from(ROOM.subarray(0, length)))
        return true
      }
      const socket = connect({ path: this.#path, onread: { buffer: ROOM, callback } })
      const connection = new Connection(socket)
      this.#open.add(socket)
      socket.once('connect', () => resolve(connection))
      // Once it is connected this rejects nothing any more: an end is told by `close`.
      socket.on('error', (error) =>
        reject(new RelayFailure('the relay does not answer', true, error)),
      )
      socket.once('close', () => {
        this.#open.delete(socket)
        const at = this.#idle.indexOf(connection)
        if (at >= 0) this.#idle.splice(at, 1)
      })
    })
  }
}

/** A request under way on a connection. */
interface Turn {
  readonly signal: AbortSignal
  readonly leave: () => void
  /** Called when its last frame was read. */
  readonly done: () => void
}

class Connection {
  readonly #socket: Socket
  readonly #reader = new RelayFrameReader()
  readonly #frames: RelayFrame[] = []
  #ahead = 0
  #waiting: { resolve(frame: RelayFrame): void; reject(error: unknown): void } | undefined
  #turn: Turn | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.once('close', () => this.#closed())
  }

  ask(request: RelayRequest, body: Uint8Array, signal: AbortSignal, done: () => void): RelayAnswer {
    // Once its last frame was read the connection is somebody else's: whoever leaves then leaves nothing.
    const isOver = () => this.#turn !== turn
    const leave = () => void (isOver() || this.#socket.destroy())
    const turn = { signal, leave, done }
    this.#turn = turn
    signal.addEventListener('abort', leave)
    if (signal.aborted) leave()
    this.#socket.write(encodeRelayFrames(['request', canonicalBytes(request)], ['body', body]))
    return {
      next: () => (isOver() ? Promise.reject(new Error('it is over')) : this.#next()),
      leave,
    }
  }

  #next(): Promise<RelayFrame> {
    const frame = this.#ready()
    if (frame) return Promise.resolve(frame)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      if (this.#socket.destroyed) this.#closed()
    })
  }

  /** What came on the socket. */
  take(chunk: Uint8Array): void {
    try {
      if (!this.#turn) throw new Error('the relay answered what nobody asked')
      for (const frame of this.#reader.push(chunk)) {
        this.#frames.push(frame)
        this.#ahead += frame.bytes.length
      }
    } catch (error) {
      this.#socket.destroy(error as Error)
      return
    }
    if (this.#ahead > AHEAD_BYTES) this.#socket.pause()
    const waiting = this.#waiting
    const frame = waiting && this.#ready()
    if (!frame) return
    this.#waiting = undefined
    waiting.resolve(frame)
  }

  /** What lies ready. */
  #ready(): RelayFrame | undefined {
    const first = this.#frames.shift()
    if (!first) return undefined
    const more: RelayFrame[] = []
    if (first.type === 'data')
      while (this.#frames[0]?.type === 'data') more.push(this.#frames.shift()!)
    const frame =
      more.length === 0
        ? first
        : { type: first.type, bytes: concat(first.bytes, ...more.map(({ bytes }) => bytes)) }
    this.#ahead -= frame.bytes.length
    if (this.#socket.isPaused()) this.#socket.resume()
    if (frame.type === 'final' || frame.type === 'failed') this.#finish()
    return frame
  }

  #finish(): void {
    const turn = this.#turn
    this.#turn = undefined
    turn?.signal.removeEventListener('abort', turn.leave)
    if (this.#frames.length > 0) this.#socket.destroy()
    else if (!this.#socket.destroyed) turn?.done()
  }

  #closed(): void {
    const turn = this.#turn
    turn?.signal.removeEventListener('abort', turn.leave)
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(
      turn?.signal.aborted
        ? turn.signal.reason
        : new RelayFailure('the relay broke off its answer', false, this.#socket.errored),
    )
  }
}
