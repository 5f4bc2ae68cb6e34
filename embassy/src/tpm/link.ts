// The queue in front of a TPM: one job at a time, a bound on every wait, a new connection after a break.
// It never repeats a command that may have taken effect: an extend sent twice is a wrong PCR for good.
import { setTimeout as delay } from 'node:timers/promises'
import { SealedError } from '@sealed/protocol'
import type { Command } from './commands.ts'
import { Reader } from './marshal.ts'
import { describeCode, isTransient, RC } from './response-code.ts'
import type { Transport } from './transport.ts'

/** Sends one command and reads its answer; any failure is `tpm.failed` naming the command. */
export type Execute = <T>(command: Command<T>) => Promise<T>

export interface LinkOptions {
  readonly dial: () => Promise<Transport>
  /** Runs first on every new connection; when it fails the connection is dropped. */
  readonly greet: (execute: Execute) => Promise<void>
  /** The longest wait for a connection or one response, in milliseconds. */
  readonly timeoutMs: number
}

/** A refusal by the TPM itself: the connection is sound, the command was not carried out. */
export class TpmRefusal extends SealedError {
  readonly responseCode: number

  constructor(command: string, responseCode: number) {
    super('tpm.failed', `${command} was refused by the TPM: ${describeCode(responseCode)}`)
    this.responseCode = responseCode
  }
}

const ATTEMPTS = 10
const FIRST_PAUSE_MS = 4

export class Link {
  readonly #options: LinkOptions
  #transport: Transport | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** Queues `job`: it has the TPM to itself until its promise settles. */
  run<T>(job: (execute: Execute) => Promise<T>): Promise<T> {
    const result = this.#tail.then(async () => {
      if (this.#closed) throw new SealedError('tpm.failed', 'the TPM was closed by its owner')
      await this.#connect()
      return job(this.#execute)
    })
    this.#tail = result.catch(() => undefined)
    return result
  }

  /** Waits for what is queued, runs `last` if a connection is open, and hangs up. */
  async close(last: (execute: Execute) => Promise<void>): Promise<void> {
    await this.#tail
    if (this.#closed) return
    this.#closed = true
    // A TPM that died meanwhile has nothing left to tidy up.
    if (this.#transport) await last(this.#execute).catch(() => undefined)
    this.#drop()
  }

  async #connect(): Promise<void> {
    if (this.#transport?.isOpen) return
    this.#drop()
    const dialing = this.#options.dial()
    try {
      this.#transport = await this.#bounded(dialing)
    } catch (cause) {
      // One that arrives after its deadline must not stay open: swtpm serves one client at a time.
      dialing.then(
        (late) => late.close(),
        () => undefined,
      )
      throw failure('connecting to the TPM', cause)
    }
    try {
      await this.#options.greet(this.#execute)
    } catch (error) {
      this.#drop()
      throw error
    }
  }

  readonly #execute: Execute = async (command) => {
    for (let attempt = 1; ; attempt++) {
      const { code, reader } = await this.#exchange(command.name, command.bytes)
      if (code === RC.success) return this.#answer(command, reader)
      // The key that was made on this connection is gone: only a new one makes it again.
      if (code === RC.referenceH0) this.#drop()
      if (!isTransient(code) || attempt === ATTEMPTS) throw new TpmRefusal(command.name, code)
      await delay(FIRST_PAUSE_MS * 2 ** (attempt - 1))
    }
  }

  #answer<T>(command: Command<T>, reader: Reader): T {
    try {
      const value = command.answer(reader)
      reader.end()
      return value
    } catch (error) {
      // Whoever answers such bytes is not spoken to again on this connection.
      this.#drop()
      throw error
    }
  }

  async #exchange(name: string, bytes: Uint8Array): Promise<{ code: number; reader: Reader }> {
    if (!this.#transport) throw new SealedError('tpm.failed', `${name}: the connection was lost`)
    try {
      const reader = new Reader(await this.#bounded(this.#transport.transmit(bytes)), name)
      reader.u16()
      reader.u32()
      return { code: reader.u32(), reader }
    } catch (cause) {
      this.#drop()
      throw failure(name, cause)
    }
  }

  async #bounded<T>(work: Promise<T>): Promise<T> {
    const { promise: expired, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => reject(new Error(`no answer within ${this.#options.timeoutMs} ms`)),
      this.#options.timeoutMs,
    )
    try {
      return await Promise.race([work, expired])
    } finally {
      clearTimeout(timer)
    }
  }

  #drop(): void {
    this.#transport?.close()
    this.#transport = undefined
  }
}

function failure(what: string, cause: unknown): SealedError {
  if (cause instanceof SealedError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new SealedError('tpm.failed', `${what} failed: ${reason}`, { cause })
}
