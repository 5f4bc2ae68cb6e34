// Speaks HTTP to one replica: from a port in the range that the firewall lets through, with undici's timeouts off and
// an end that is ours: the session's deadline, the output's bound, the client's leaving.
import { connect as tcpConnect } from 'node:net'
import { type Revealed, SealedError } from '@sealed/protocol'
import { type Dispatcher, errors, Pool } from 'undici'
import { AnswerHandler, type Taker, type WorkloadAnswer } from './workload-answer.ts'

type Target = Extract<Revealed, { kind: 'replica' }>

export interface WorkloadRequest {
  body: Uint8Array
  contentType: string
  /** The session's id: workloads name by it what they hand over. */
  session: string
  /** What the caller wants to have: an event stream, or the answer whole. */
  stream: boolean
}

/** A Fernet token, for a workload that asks for its key itself. */
const INPUT_TYPE = 'application/vnd.sealed-input'
const MAX_POOLS = 64
const MAX_PORTS_TRIED = 1_024

export class WorkloadClient {
  readonly #pools = new Map<string, Pool>()
  #nextPort = 0

  /**
   * One request; its answer, of which `taker` may have the body before it is whole. Throws `workload.failed`, `workload.timeout`,
   * `workload.too_large`, or the signal's reason.
   */
  async call(
    target: Target,
    request: WorkloadRequest,
    signal: AbortSignal,
    taker?: Taker,
  ): Promise<WorkloadAnswer> {
    const handler = new AnswerHandler(target.output_bytes, taker)
    const leave = () => handler.abort(signal.reason)
    const deadline = setTimeout(() => handler.abort(late(target)), target.workload_ms)
    signal.addEventListener('abort', leave)
    try {
      if (signal.aborted) leave()
      else this.#pool(target).dispatch(optionsOf(target, request), handler)
      return await handler.answer
    } catch (error) {
      if (error instanceof SealedError) throw error
      if (signal.aborted) throw signal.reason
      const cause =
        error instanceof errors.UndiciError
          ? error.code
          : ((error as NodeJS.ErrnoException).code ?? 'unknown')
      throw new SealedError('workload.failed', `the workload broke off its answer (${cause})`)
    } finally {
      clearTimeout(deadline)
      signal.removeEventListener('abort', leave)
    }
  }

  #pool(target: Target): Pool {
    const key = `${target.address}:${target.port}`
    let pool = this.#pools.get(key)
    if (!pool) {
      if (this.#pools.size >= MAX_POOLS) this.#forgetOldest()
      pool = new Pool(`http://${key}`, {
        connections: target.sessions,
        headersTimeout: 0,
        bodyTimeout: 0,
        connect: (_options, callback) => this.#connect(target, callback),
      })
      this.#pools.set(key, pool)
    }
    return pool
  }

  #forgetOldest(): void {
    const [key, pool] = this.#pools.entries().next().value!
    this.#pools.delete(key)
    void pool.close()
  }

  /**
   * A source port may be held, by one of up to 256 connections to the same replica or by an earlier life's: the next one is
   * tried. Such a port fails to be bound, or is bound beside the other and fails to be connected.
   */
  #connect(
    target: Target,
    callback: (...args: [null, import('node:net').Socket] | [Error, null]) => void,
    tries = MAX_PORTS_TRIED,
  ): void {
    const [first, last] = target.relay_ports
    const localPort = first + (this.#nextPort++ % (last - first + 1))
    const socket = tcpConnect({
      host: target.address,
      port: target.port,
      localPort,
      noDelay: true,
      keepAlive: true,
    })
    const onError = (error: NodeJS.ErrnoException) => {
      if (isHeld(error) && tries > 1) this.#connect(target, callback, tries - 1)
      else callback(error, null)
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      socket.off('error', onError)
      callback(null, socket)
    })
  }
}

const isHeld = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL'

const optionsOf = (
  { cooperative, endpoint }: Target,
  { body, contentType, session, stream }: WorkloadRequest,
): Dispatcher.DispatchOptions => ({
  path: endpoint,
  method: 'POST',
  headers: {
    ...(cooperative
      ? {
          'content-type': INPUT_TYPE,
          'sealed-content-type': contentType,
          'sealed-embassy': cooperative.url,
        }
      : { 'content-type': contentType }),
    accept: stream ? 'text/event-stream' : 'application/json',
    'accept-encoding': 'identity',
    'x-request-id': session,
  },
  body,
})

const late = ({ workload_ms }: Target): SealedError =>
  new SealedError('workload.timeout', `the workload did not answer within ${workload_ms} ms`)
