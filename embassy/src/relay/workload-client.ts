// Speaks HTTP to one replica: from a port in the range that the firewall lets through, with undici's timeouts off and
// an end that is ours: the session's deadline, the output's bound, the client's leaving.
import { createHash } from 'node:crypto'
import { connect as tcpConnect } from 'node:net'
import { type Revealed, SealedError } from '@sealed/protocol'
import { errors, Pool } from 'undici'

type Target = Extract<Revealed, { kind: 'replica' }>

export interface WorkloadHead {
  status: number
  contentType: string
}
export interface WorkloadAnswer extends WorkloadHead {
  /** Empty where its pieces were taken as they came. */
  body: Uint8Array
  bytes: number
  /** Of all bytes that were read from the workload's socket. */
  sha256: Uint8Array
}

export interface WorkloadRequest {
  body: Uint8Array
  contentType: string
  /** The session's id: workloads name by it what they hand over. */
  session: string
  /** What the caller wants to have: an event stream, or the answer whole. */
  stream: boolean
}

/** Shown an answer's head; what it returns takes the body's pieces as they come. */
export type Taker = (head: WorkloadHead) => ((bytes: Uint8Array) => void) | undefined

/** A Fernet token, for a workload that asks for its key itself. */
const INPUT_TYPE = 'application/vnd.sealed-input'
const MAX_POOLS = 64

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
    // A timer that ends with the call: `AbortSignal.timeout` would keep all that hangs on it until the time is over.
    const ending = new AbortController()
    const end = () => ending.abort()
    const deadline = setTimeout(end, target.workload_ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    try {
      return await this.#call(target, request, ending.signal, taker)
    } catch (error) {
      if (error instanceof SealedError) throw error
      if (signal.aborted) throw signal.reason
      if (ending.signal.aborted)
        throw new SealedError(
          'workload.timeout',
          `the workload did not answer within ${target.workload_ms} ms`,
        )
      const cause =
        error instanceof errors.UndiciError
          ? error.code
          : ((error as NodeJS.ErrnoException).code ?? 'unknown')
      throw new SealedError('workload.failed', `the workload broke off its answer (${cause})`)
    } finally {
      clearTimeout(deadline)
      signal.removeEventListener('abort', end)
    }
  }

  async #call(
    target: Target,
    { body, contentType, session, stream }: WorkloadRequest,
    signal: AbortSignal,
    taker: Taker | undefined,
  ): Promise<WorkloadAnswer> {
    const answer = await this.#pool(target).request({
      path: target.endpoint,
      method: 'POST',
      headers: {
        ...(target.cooperative
          ? {
              'content-type': INPUT_TYPE,
              'sealed-content-type': contentType,
              'sealed-embassy': target.cooperative.url,
            }
          : { 'content-type': contentType }),
        accept: stream ? 'text/event-stream' : 'application/json',
        'accept-encoding': 'identity',
        'x-request-id': session,
      },
      body,
      signal,
    })
    const encoding = answer.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      // Given up unread, a body errors once more: with nobody listening that would end the relay.
      answer.body.on('error', () => {}).destroy()
      throw new SealedError(
        'workload.failed',
        'the workload compressed its answer although it was asked not to',
      )
    }
    const type = answer.headers['content-type']
    const head: WorkloadHead = {
      status: answer.statusCode,
      contentType: typeof type === 'string' ? type.slice(0, 256) : 'application/octet-stream',
    }
    const take = taker?.(head)
    const hash = createHash('sha256')
    const kept: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > target.output_bytes)
        throw new SealedError(
          'workload.too_large',
          `the workload's answer is over ${target.output_bytes} bytes`,
        )
      hash.update(chunk)
      if (take) take(chunk)
      else kept.push(chunk)
    }
    return {
      ...head,
      body: new Uint8Array(Buffer.concat(kept)),
      bytes,
      sha256: new Uint8Array(hash.digest()),
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

  /** A source port may still be held by an earlier connection: the next one is tried, a bounded number of times. */
  #connect(
    target: Target,
    callback: (...args: [null, import('node:net').Socket] | [Error, null]) => void,
    tries = 16,
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
      if (error.code === 'EADDRINUSE' && tries > 1) this.#connect(target, callback, tries - 1)
      else callback(error, null)
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      socket.off('error', onError)
      callback(null, socket)
    })
  }
}
