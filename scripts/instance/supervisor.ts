// Keeps one process of an instance alive: starts it again with a growing pause, stops it by its pid, keeps its log.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 5_000
const STOP_DEADLINE_MS = 30_000
/**
 * Each process of ours keeps little for long and has one busy thread. V8 would share each collection among four more,
 * and waking them costs more than they do; and with room for more it collects less often. The same in nix/services.nix.
 * What a process starts of its own inherits it.
 */
const V8_FLAGS = [
  '--v8-pool-size=1',
  '--no-parallel-scavenge',
  '--no-concurrent-array-buffer-sweeping',
  '--min-semi-space-size=16',
]

const GUARD = new URL('end-with-parent.ts', import.meta.url).href

export class Supervised {
  readonly #name: string
  readonly #args: string[]
  readonly #logPath: string
  #child: ChildProcess | undefined
  #stopping = false
  #starts = 0

  /** `args` are Node's; output goes to `logPath`. */
  constructor(name: string, args: string[], logPath: string) {
    this.#name = name
    this.#args = args
    this.#logPath = logPath
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** How often it was started; more than once means that it died. */
  get starts(): number {
    return this.#starts
  }

  start(): void {
    this.#spawn(FIRST_PAUSE_MS)
  }

  /** The end of its log, for a message to a person. */
  tail(lines = 12): string {
    return readFileSync(this.#logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  }

  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS)
    await ended
    clearTimeout(timer)
  }

  #spawn(pauseMs: number): void {
    const log = openSync(this.#logPath, 'a', 0o600)
    const child = spawn(process.execPath, [...V8_FLAGS, '--import', GUARD, ...this.#args], {
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    this.#child = child
    this.#starts += 1
    const started = performance.now()
    child.once('exit', async (code, signal) => {
      if (this.#stopping) return
      process.stderr.write(`${this.#name} ended (${signal ?? code}); it is started again\n`)
      const next =
        performance.now() - started > LAST_PAUSE_MS
          ? FIRST_PAUSE_MS
          : Math.min(2 * pauseMs, LAST_PAUSE_MS)
      await delay(pauseMs)
      if (!this.#stopping) this.#spawn(next)
    })
  }
}
