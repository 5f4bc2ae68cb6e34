// A software TPM per test file, copies of its state, and tpm2-tools pointed at it.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type SoftwareTpm, startSoftwareTpm } from '../../scripts/world/tpm.ts'

export const run = promisify(execFile)

/** tpm2-tools on a software TPM that nobody else has open, or on none. */
export async function tpm2(tpm: SoftwareTpm | undefined, ...args: string[]): Promise<string> {
  const TPM2TOOLS_TCTI = tpm ? `swtpm:path=${tpm.socketPath}` : 'none'
  const { stdout } = await run('tpm2', args, { env: { ...process.env, TPM2TOOLS_TCTI } })
  return stdout
}

export interface Lab {
  readonly directory: string
  /** Powers on the TPM called `name`; a new name begins as a copy of the one provisioned here. */
  start(name?: string): Promise<SoftwareTpm>
  /** Powers all of them off and removes everything. */
  close(): Promise<void>
}

export async function openLab(): Promise<Lab> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-lab-'))
  const states = new Set(['first'])
  const running: SoftwareTpm[] = []
  const start = async (name = 'first') => {
    const stateDir = join(directory, name)
    if (!states.has(name)) await cp(join(directory, 'first'), stateDir, { recursive: true })
    states.add(name)
    const tpm = await startSoftwareTpm({ stateDir, socketPath: join(directory, `${name}.sock`) })
    running.push(tpm)
    return tpm
  }
  await (await start()).stop()
  return {
    directory,
    start,
    async close() {
      for (const tpm of running) await tpm.stop()
      await killSwtpms(directory)
      await rm(directory, { recursive: true })
    },
  }
}

/** Software TPMs that work anywhere under a directory, by process id. */
export async function swtpmsUnder(directory: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line.startsWith('swtpm') && line.includes(`${directory}/`)) found.push(pid)
  }
  return found
}

/** For clean-up after a test that failed half way. */
export async function killSwtpms(directory: string): Promise<void> {
  for (const pid of await swtpmsUnder(directory)) await kill(Number(pid))
}

/** Resolves when the process is gone; one that nobody has reaped yet counts as gone. */
export async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  const deadline = Date.now() + 10_000
  while (Date.now() < deadline)
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')) === '') return
  throw new Error(`process ${pid} survives SIGKILL`)
}
