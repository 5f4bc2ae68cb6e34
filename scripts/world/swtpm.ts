// One swtpm process on a Unix socket: start it, know it again after a crash of whoever started it, stop it.
// It ends only processes that are provably swtpm on the very directory it was asked about.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { missing } from './run.ts'

/** A running software TPM, powered on and started up. */
export interface Swtpm {
  readonly pid: number
  /** Runs one command while nobody else has the TPM open; throws unless it succeeds. */
  execute(command: Buffer): Promise<void>
  /** Shuts the TPM down as an operating system does, then ends the process. */
  stop(): Promise<void>
}

export interface SwtpmPaths {
  /** Absolute; holds `state/` and the log. */
  readonly directory: string
  /** Where swtpm binds, relative to `directory` or absolute; the control channel is `<socket>.ctrl`. */
  readonly socket: string
}

const START_MS = 10_000
const STOP_MS = 5_000
const SUN_PATH = 107
/** Tells in the environment of a swtpm who started it: process id and start time. */
const STARTER = 'SEALED_TPM_STARTER'

const READ_CLOCK = Buffer.from('80010000000a00000181', 'hex')
const SHUTDOWN_CLEAR = Buffer.from('80010000000c000001450000', 'hex')

/** @throws Error when the control channel's path would be cut by the system. */
export function checkSocketPath(socket: string): void {
  const most = SUN_PATH - '.ctrl'.length
  if (Buffer.byteLength(socket) > most)
    throw new Error(`${socket}: the path of this Unix socket may have at most ${most} bytes`)
}

/** Powers the TPM on: a boot, with PCRs at zero and resetCount one higher. */
export async function startSwtpm(paths: SwtpmPaths): Promise<Swtpm> {
  const { directory, socket } = paths
  await reapSwtpm(directory)
  const child = await launch(directory, socket)
  const pid = child.pid!
  const connectPath = socket.startsWith('/') ? socket : `/proc/${pid}/cwd/${socket}`
  const stop = async () => {
    if (isRunning(child)) await exchange(connectPath, SHUTDOWN_CLEAR, 500).catch(() => undefined)
    await end(child)
    for (const path of [connectPath, `${connectPath}.ctrl`]) await rm(path, { force: true })
  }
  try {
    await untilReady(child, connectPath)
  } catch (error) {
    await stop()
    const log = await readFile(join(directory, 'swtpm.log'), 'utf8').catch(() => '')
    throw new Error(`the software TPM did not start: ${(error as Error).message}\n${log.trim()}`)
  }
  const execute = async (command: Buffer) => {
    const response = await exchange(connectPath, command, START_MS)
    const code = response.readUInt32BE(6)
    if (code !== 0) throw new Error(`the software TPM answered 0x${code.toString(16)}`)
  }
  return { pid, execute, stop }
}

/**
 * Ends the swtpm that a dead process left on this directory.
 * @throws Error when the one who started it is still alive
 */
export async function reapSwtpm(directory: string): Promise<void> {
  for (const pid of await findSwtpm(directory)) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    const starter = environment.split('\0').find((entry) => entry.startsWith(`${STARTER}=`))
    const [starterPid, ticks] = starter?.slice(STARTER.length + 1).split(':') ?? []
    if (starterPid && ticks === (await startTicks(starterPid)))
      throw new Error(
        `the software TPM in ${directory} is in use: swtpm ${pid} of process ${starterPid}, an instance on the same state; end that one first (kill ${starterPid})`,
      )
    process.kill(Number(pid), 'SIGKILL')
  }
  const deadline = Date.now() + STOP_MS
  while ((await findSwtpm(directory)).length > 0) {
    if (Date.now() > deadline) throw new Error(`the swtpm on ${directory} survives SIGKILL`)
    await delay(5)
  }
}

/** Processes that say of themselves that they are swtpm on this directory: no record can go missing. */
async function findSwtpm(directory: string): Promise<string[]> {
  const state = `dir=${join(directory, 'state')},mode=0600`
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = pids.map(async (pid) => {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const [program, ...args] = line.split('\0')
    return program?.endsWith('swtpm') && args.includes(state) ? [pid] : []
  })
  return (await Promise.all(found)).flat()
}

async function launch(directory: string, socket: string): Promise<ChildProcess> {
  for (const path of [socket, `${socket}.ctrl`]) await rm(resolve(directory, path), { force: true })
  const env = { ...process.env, [STARTER]: `${process.pid}:${await startTicks(process.pid)}` }
  const log = openSync(join(directory, 'swtpm.log'), 'w', 0o600)
  const child = spawn(
    'swtpm',
    [
      'socket',
      '--tpm2',
      ...['--tpmstate', `dir=${join(directory, 'state')},mode=0600`],
      ...['--server', `type=unixio,path=${socket},mode=0600`],
      ...['--ctrl', `type=unixio,path=${socket}.ctrl,mode=0600`],
      ...['--flags', 'not-need-init,startup-clear'],
    ],
    // A group of its own: an interrupt at the terminal must not take the TPM before its users.
    { cwd: directory, env, detached: true, stdio: ['ignore', log, log] },
  )
  closeSync(log)
  await new Promise<void>((spawned, reject) => {
    child.once('spawn', spawned)
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? missing('swtpm') : error),
    )
  })
  child.unref()
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** An exit of ours that skips `stop()` must not leave one running. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

async function untilReady(child: ChildProcess, path: string): Promise<void> {
  const deadline = Date.now() + START_MS
  for (;;) {
    if (!isRunning(child)) throw new Error(`swtpm ended with ${child.exitCode ?? child.signalCode}`)
    try {
      const response = await exchange(path, READ_CLOCK, START_MS)
      if (response.readUInt32BE(6) === 0) return
      throw new Error(`TPM2_ReadClock answered 0x${response.readUInt32BE(6).toString(16)}`)
    } catch (error) {
      if (Date.now() > deadline) throw error
      await delay(5)
    }
  }
}

/** One command on a connection of its own; swtpm serves one client at a time. */
function exchange(path: string, command: Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path })
    socket.setTimeout(timeoutMs, () =>
      socket.destroy(new Error('the software TPM does not answer')),
    )
    socket.once('connect', () => socket.write(command))
    socket.once('data', (response) => {
      resolve(response)
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the software TPM hung up')))
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.ref()
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(timer)
}

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

/** Start time of a process in clock ticks: with its id it names a process for good. */
async function startTicks(pid: number | string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
