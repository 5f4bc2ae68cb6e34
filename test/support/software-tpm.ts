// A software TPM per test file, copies of its state, and tpm2-tools pointed at it.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
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
      await rm(directory, { recursive: true })
    },
  }
}

/** Resolves when the process is gone. */
export async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  const deadline = Date.now() + 10_000
  while (Date.now() < deadline) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error(`process ${pid} survives SIGKILL`)
}
