// A clone that belongs to a user without any right, as somebody has it who is not root and reaches no Docker: copied, for
// it writes there, with this one's packages mounted into it.
import { execFile, type SpawnOptions, spawn } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const REPOSITORY = resolve(import.meta.dirname, '..', '..')
const PARTS = ['protocol', 'embassy', 'gateway', 'client', 'workloads', 'scripts']
const FILES = ['package.json', 'package-lock.json', '.npmrc']
const PACKAGES = ['node_modules', 'embassy/node_modules', 'gateway/node_modules']
/** Nobody's: no process but the test's has it. */
export const BARE_UID = 61_234

export class BareUser {
  readonly clone: string

  private constructor(clone: string) {
    this.clone = clone
  }

  static async create(): Promise<BareUser> {
    const clone = await mkdtemp(join(tmpdir(), 'sealed-bare-'))
    const isOurs = (path: string) => !['node_modules', '.sealed'].includes(basename(path))
    for (const part of [...PARTS, ...FILES])
      await cp(join(REPOSITORY, part), join(clone, part), { recursive: true, filter: isOurs })
    for (const path of PACKAGES) await mkdir(join(clone, path))
    await mkdir(join(clone, '.home'))
    await run('chown', ['-R', `${BARE_UID}:${BARE_UID}`, clone])
    await chmod(clone, 0o755)
    for (const path of PACKAGES)
      await run('mount', ['--bind', join(REPOSITORY, path), join(clone, path)])
    return new BareUser(clone)
  }

  /** A command as this user runs it: no group, no right, an environment of its own. */
  spawn(command: string[], options: SpawnOptions & { env?: Record<string, string> } = {}) {
    const { env = {}, ...rest } = options
    const PATH = `/usr/local/bin:/usr/bin:/bin`
    const own = { HOME: join(this.clone, '.home'), PATH, ...env }
    const who = [`--reuid=${BARE_UID}`, `--regid=${BARE_UID}`, '--clear-groups', '--no-new-privs']
    return spawn('setpriv', [...who, ...command], { cwd: this.clone, env: own, ...rest })
  }

  /** Runs one to its end. */
  async run(
    command: string[],
    env?: Record<string, string>,
  ): Promise<{ code: number; text: string }> {
    const child = this.spawn(command, { stdio: ['ignore', 'pipe', 'pipe'], ...(env && { env }) })
    let text = ''
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (exit) => resolve(exit ?? -1))
    })
    return { code, text }
  }

  /** Command lines of all that this user runs. */
  async processes(): Promise<string[]> {
    const { stdout } = await run('ps', ['-o', 'args=', '-U', String(BARE_UID)]).catch(() => ({
      stdout: '',
    }))
    return stdout.split('\n').filter(Boolean)
  }

  async remove(): Promise<void> {
    for (const path of PACKAGES) await run('umount', [join(this.clone, path)])
    await rm(this.clone, { recursive: true })
  }
}
