// One run of the CLI inside a test: its own folder, environment and streams; no process, no network.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { run } from '../cli/run.ts'
import type { Fetch } from '../gateway.ts'
import { NOW } from './machine-double.ts'

export interface CliResult {
  exit: number
  out: string
  err: string
}
export interface CliSettings {
  fetch?: Fetch
  stdin?: string
  env?: Record<string, string>
  terminal?: boolean
  /** As `bin/insecure.ts` runs it. */
  insecure?: boolean
  /** When Ctrl-C is pressed; at once without it. */
  interrupted?: (written: () => string) => Promise<void>
}

export async function createCli() {
  const folder = await mkdtemp(join(tmpdir(), 'sealed-cli-'))
  return {
    folder,
    path: (name: string) => join(folder, name),
    remove: () => rm(folder, { recursive: true }),
    run: async (argv: string[], settings: CliSettings = {}): Promise<CliResult> => {
      const [stdout, stderr] = [new Sink(settings.terminal), new Sink(settings.terminal)]
      const stdin = Object.assign(Readable.from(settings.stdin ? [settings.stdin] : []), {
        isTTY: settings.stdin === undefined,
      })
      const exit = await run(argv, {
        stdin,
        stdout,
        stderr,
        env: settings.env ?? {},
        cwd: folder,
        now: () => NOW,
        fetch: settings.fetch ?? nothing,
        ...(settings.insecure && { insecure: true }),
        interrupted: async () => settings.interrupted?.(() => stdout.text),
      })
      return { exit, out: stdout.text, err: stderr.text }
    },
  }
}
export type Cli = Awaited<ReturnType<typeof createCli>>

const nothing: Fetch = () =>
  Promise.reject(new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }))

class Sink extends Writable {
  text = ''
  readonly isTTY: boolean

  constructor(terminal = false) {
    super({ decodeStrings: false })
    this.isTTY = terminal
  }

  override _write(chunk: string, _encoding: string, done: () => void): void {
    this.text += chunk
    done()
  }
}
