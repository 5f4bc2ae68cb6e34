// Starts the relay's process, asks it what only it can know, and starts it again when it dies: every session that it
// held is over then.
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { SealedError } from '@sealed/protocol'
import { programUrl } from '../programs.ts'
import type { ReplicaLink } from '../seal/index.ts'
import type { ReachAnswer, Reached } from './reach.ts'

export interface RelayOptions {
  embassySocket: string
  ingressSocket: string
  gatewayGid: number
  relayUid: number
  /** What an ordinary request's body may have. */
  bodyBytes: number
  /** How long a workload may take until it listens. */
  listenMs: number
  onLost: () => Promise<void>
  log: (message: string, fields: Record<string, unknown>) => void
}

const LAST_BACK_OFF_MS = 10_000

export class RelaySupervisor {
  readonly #options: RelayOptions
  readonly #questions = new Map<number, (reached: Reached) => void>()
  #child: ChildProcess | undefined
  #stopping = false
  #question = 0
  #backOffMs = 100

  constructor(options: RelayOptions) {
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when the relay's socket is bound. */
  async start(): Promise<void> {
    const { bodyBytes, embassySocket, ingressSocket, gatewayGid, relayUid } = this.#options
    const child = fork(programUrl('relay/main'), [], {
      env: {
        NODE_ENV: 'production',
        SEALED_BODY_BYTES: String(bodyBytes),
        SEALED_EMBASSY_SOCKET: embassySocket,
        SEALED_INGRESS_SOCKET: ingressSocket,
        SEALED_GATEWAY_GID: String(gatewayGid),
        SEALED_RELAY_UID: String(relayUid),
      },
    })
    this.#child = child
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message: 'ready' | ReachAnswer) => {
        if (message === 'ready') resolve()
        else this.#questions.get(message.question)?.(message.reached)
      })
      child.once('exit', (code, signal) => {
        reject(new SealedError('internal.error', `the relay ended at start (${signal ?? code})`))
        void this.#lost(child)
      })
    })
    this.#backOffMs = 100
  }

  /** Resolves when the workload behind `link` can serve. While it says that it is loading it has the time that it takes. */
  async reach(link: ReplicaLink): Promise<void> {
    const { listenMs } = this.#options
    let end = performance.now() + listenMs
    for (;;) {
      const reached = await this.#ask(link)
      if (reached === 'ready') return
      if (reached === 'loading') end = performance.now() + listenMs
      if (performance.now() > end)
        throw new Error(
          `the workload accepts no connection on port ${link.workloadPort} within ${listenMs} ms; one that loads its model first needs more: raise limits.listen_ms in sealed.json`,
        )
      await delay(25)
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
  }

  #ask(link: ReplicaLink): Promise<Reached> {
    const question = ++this.#question
    const [first, last] = link.relayPorts
    // The far half of the range, so that these short connections never hold a port that a session wants.
    const localPort = last - (question % Math.floor((last - first) / 2))
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle('no'), 2_000)
      const settle = (reached: Reached) => {
        clearTimeout(timer)
        this.#questions.delete(question)
        resolve(reached)
      }
      this.#questions.set(question, settle)
      const sent = this.#child?.send({
        question,
        address: link.workloadAddress4,
        port: link.workloadPort,
        localPort,
      })
      if (!sent && !this.#child?.connected) settle('no')
    })
  }

  async #lost(child: ChildProcess): Promise<void> {
    if (this.#child === child) this.#child = undefined
    if (this.#stopping) return
    this.#options.log('relay lost', {})
    await this.#options.onLost()
    while (!this.#stopping) {
      await delay(this.#backOffMs)
      this.#backOffMs = Math.min(2 * this.#backOffMs, LAST_BACK_OFF_MS)
      if (this.#stopping) return
      try {
        return await this.start()
      } catch (error) {
        this.#options.log('relay does not start', { error: (error as Error).message })
        return
      }
    }
  }
}
