// Runs the tools that know disks (cryptsetup, mke2fs, e2fsck, mount), each to its end. Arguments are lists, never a
// shell string; a key goes in on standard input, never among them.
import { spawn } from 'node:child_process'
import { SealedError } from '@sealed/protocol'

export type Command = readonly [string, ...string[]]

/** Gives what the tool wrote. @throws ToolFailure */
export type Run = (command: Command, input?: Uint8Array) => Promise<string>

export class ToolFailure extends SealedError {
  /** The exit code; undefined when it did not run or was ended by a signal. */
  readonly exitCode: number | undefined

  constructor(command: Command, reason: string, exitCode: number | undefined) {
    super('state.disk', `${command.join(' ')}: ${reason}`)
    this.exitCode = exitCode
  }
}

/** A disk of some terabytes is checked and formatted within it. */
const TIMEOUT_MS = 600_000

export const run: Run = (command, input = new Uint8Array()) => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const [name, ...args] = command
  const env = { ...process.env, LC_ALL: 'C' }
  const child = spawn(name, args, { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
  let output = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk
  })
  // A tool that ends before it has read its input says why by its exit code.
  child.stdin.on('error', () => undefined)
  child.once('error', (error) => reject(new ToolFailure(command, error.message, undefined)))
  child.once('close', (code, signal) => {
    if (code === 0) return resolve(output)
    const reason = complaint.trim() || output.trim() || `ended with ${signal ?? code}`
    reject(new ToolFailure(command, reason, code ?? undefined))
  })
  child.stdin.end(input)
  return promise
}
