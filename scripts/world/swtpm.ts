// One swtpm process on a Unix socket: start it, know it again after a crash of whoever started it, stop it.
// It ends only processes that are provably swtpm on the very directory it was asked about.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { missing } from './run.ts'

/** A running software TPM, powered on and started up. */
export interface Swtpm {
  readonly pid: number
  /** Shuts the TPM down as an operating system does, then ends the process. */
  stop(): Promise<void>
}

export interface SwtpmPaths {
  /** Absolute; holds `state/`, the log and the record of the process. */
  readonly directory: string
  /** Where swtpm binds, relative to `directory` or absolute; the control channel is `<socket>.ctrl`. */
  readonly socket: string
}

const START_MS = 10_000
const STOP_MS = 5_000
const SUN_PATH = 107

const READ_CLOCK = Buffer.from('80010000000a00000181', 'hex')
const SHUTDOWN_CLEAR = Buffer.from('80010000000c000001450000', 'hex')

/** Powers the TPM on: a boot, with PCRs at zero and resetCount one higher. */
export async function startSwtpm(paths: SwtpmPaths): Promise<Swtpm> {
  const { directory, socket } = paths
  if (Buffer.byteLength(`${socket}.ctrl`) > SUN_PATH)
    throw new Error(`${socket}: a Unix socket path has at most ${SUN_PATH - 5} bytes here`)
  await reapSwtpm(directory)
  const child = await launch(directory, socket)
  const pid = child.pid!
  const connectPath = socket.startsWith('/') ? socket : `/proc/${pid}/cwd/${socket}`
  const record = { pid, starter: process.pid, starter_ticks: await startTicks(process.pid) }
  await writeFile(recordPath(directory), JSON.stringify(record))
  // Without this an exit of ours that skips stop() would leave it running.
  const killNow = () => void child.kill('SIGKILL')
  process.once('exit', killNow)
  const stop = async () => {
    if (isRunning(child)) await exchange(connectPath, SHUTDOWN_CLEAR, 500).catch(() => undefined)
    await end(child)
    process.off('exit', killNow)
    const leftovers = [connectPath, `${connectPath}.ctrl`, recordPath(directory)]
    for (const path of leftovers) await rm(path, { force: true })
  }
  try {
    await untilReady(child, connectPath)
  } catch (error) {
    await stop()
    const log = await readFile(join(directory, 'swtpm.log'), 'utf8').catch(() => '')
    throw new Error(`the software TPM did not start: ${(error as Error).message}\n${log.trim()}`)
  }
  return { pid, stop }
}

/**
 * Ends the swtpm that a dead process left on this directory.
 * @throws Error when the one who started it is still alive
 */
export async function reapSwtpm(directory: string): Promise<void> {
  const text = await readFile(recordPath(directory), 'utf8').catch(() => undefined)
  if (text === undefined) return
  const record = JSON.parse(text || '{}') as {
    pid?: number
    starter: number
    starter_ticks: string
  }
  if (record.pid !== undefined && (await isOurs(record.pid, directory))) {
    if ((await startTicks(record.starter)) === record.starter_ticks)
      throw new Error(
        `the software TPM in ${directory} is in use: swtpm ${record.pid} of process ${record.starter}`,
      )
    process.kill(record.pid, 'SIGKILL')
    const deadline = Date.now() + STOP_MS
    while ((await isOurs(record.pid, directory)) && Date.now() < deadline) await delay(5)
  }
  await rm(recordPath(directory), { force: true })
}

const recordPath = (directory: string) => join(directory, 'swtpm.json')

async function launch(directory: string, socket: string): Promise<ChildProcess> {
  await rm(join(directory, socket), { force: true })
  if (socket.startsWith('/'))
    for (const path of [socket, `${socket}.ctrl`]) await rm(path, { force: true })
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
    { cwd: directory, detached: true, stdio: ['ignore', log, log] },
  )
  closeSync(log)
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? missing('swtpm') : error),
    )
  })
  child.unref()
  return child
}

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

async function isOurs(pid: number, directory: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const [program, ...args] = line.split('\0')
  return !!program?.endsWith('swtpm') && args.includes(`dir=${join(directory, 'state')},mode=0600`)
}

/** Start time of a process in clock ticks: with its id it names a process for good. */
async function startTicks(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
