// Runs the system's network tools, each to its end. Arguments are lists, never a shell string.
// Only for attach, detach and sweep: on the path of a request nothing is spawned.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { SealedError } from '@sealed/protocol'

export type Command = [string, ...string[]]

/** The command as it runs inside a network namespace, given by path; undefined leaves it here. */
export const inNamespace = (path: string | undefined, command: Command): Command =>
  path === undefined ? command : ['nsenter', `--net=${path}`, '--', ...command]

/** The network namespace of a process. */
export const namespaceOf = (pid: number): string => `/proc/${pid}/ns/net`

export type Run = (command: Command, input?: string) => Promise<string>

export interface Tools {
  /** Runs in the host's namespace. */
  readonly here: Run
  /** Runs in the network namespace of process `pid`. */
  inside(pid: number, command: Command, input?: string): Promise<string>
}

export const createTools = (namespace: string | undefined): Tools => ({
  here: (command, input) => run(inNamespace(namespace, command), input),
  inside: (pid, command, input) => run(inNamespace(namespaceOf(pid), command), input),
})

/** Sets a kernel setting of the namespace that `where` runs in; `path` is below /proc/sys. */
export async function writeSetting(where: Run, path: string, value: number): Promise<void> {
  await where(['tee', `/proc/sys/${path}`], `${value}\n`)
}

/** A tool that ended with an error, or that is not there. */
export class ToolFailure extends SealedError {
  readonly missing: boolean

  constructor(command: Command, reason: string, missing: boolean) {
    super('seal.failed', `${command.join(' ')}: ${reason}`)
    this.missing = missing
  }
}

const TIMEOUT_MS = 10_000

function run(command: Command, input = ''): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const [name, ...args] = command
  const child = spawn(name, args, { stdio: 'pipe', timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
  let output = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk
  })
  child.stdin.on('error', () => undefined)
  child.once('error', (error: NodeJS.ErrnoException) =>
    reject(new ToolFailure(command, error.message, error.code === 'ENOENT')),
  )
  child.once('close', (code, signal) => {
    if (code === 0) resolve(output)
    // 127: nsenter found no such tool.
    else reject(new ToolFailure(command, complaint.trim() || `${signal ?? code}`, code === 127))
  })
  child.stdin.end(input)
  return promise
}

const LIVING_ON = {
  // glibc gives large blocks back to the kernel at once and fetches them again: nft, which fills one for each table that
  // there is at each change, then spends ten times as long in page faults as on its work.
  MALLOC_MMAP_THRESHOLD_: '1000000000',
  MALLOC_TRIM_THRESHOLD_: '1000000000',
  // `nft -i` leaves every line that it was given in its user's home, and begins by reading all that was ever left there.
  HOME: '/nonexistent',
}

/** Starts an `nft` that lives on, and writes each answer as soon as it has it. */
export function startNft(
  namespace: string | undefined,
  ...args: string[]
): ChildProcessWithoutNullStreams {
  // Without stdbuf nft keeps its answers in a block buffer and none arrives.
  const [command, ...rest] = inNamespace(namespace, ['stdbuf', '-oL', 'nft', ...args])
  return spawn(command, rest, { stdio: 'pipe', env: { ...process.env, ...LIVING_ON } })
}
