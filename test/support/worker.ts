// The edge Worker as wrangler makes and runs it: bundled for a deployment that does not happen, and served by workerd on
// loopback. Neither asks anybody outside for anything.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { REPOSITORY } from '../../scripts/instance/paths.ts'

const WRANGLER = join(REPOSITORY, 'node_modules', 'wrangler', 'bin', 'wrangler.js')
const START_MS = 120_000

const environment = (home: string) => ({
  ...process.env,
  CI: '1',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  HOME: home,
  NO_COLOR: '1',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_SEND_METRICS: 'false',
})

const aside = () => mkdtemp(join(tmpdir(), 'sealed-worker-'))

/** What `wrangler deploy --dry-run` says; throws when it fails. */
export async function dryRun(): Promise<string> {
  const directory = await aside()
  const args = [WRANGLER, 'deploy', '--dry-run', '--outdir', join(directory, 'out')]
  const options = { cwd: REPOSITORY, env: environment(directory) }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, options)
  await rm(directory, { recursive: true, force: true })
  return stdout + stderr
}

export interface RunningWorker {
  url: string
  stop: () => Promise<void>
}

/** Starts the Worker on a free port, in front of this origin and under this policy. */
export async function startWorker(origin: string, policy: object): Promise<RunningWorker> {
  const directory = await aside()
  const secrets = join(directory, 'secrets.env')
  await writeFile(secrets, `SEALED_POLICY='${JSON.stringify(policy)}'\n`)
  const child = spawn(
    process.execPath,
    [
      WRANGLER,
      'dev',
      '--ip=127.0.0.1',
      '--port=0',
      '--inspector-port=0',
      `--env-file=${secrets}`,
      `--var=SEALED_ORIGIN:${origin}`,
      `--persist-to=${directory}`,
      '--show-interactive-dev-session=false',
    ],
    { cwd: REPOSITORY, env: environment(directory), stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const ended = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(directory, { recursive: true, force: true })
  }
  let said = ''
  const ready = new Promise<string>((resolve, reject) => {
    const look = (part: Buffer) => {
      said += part
      const url = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1]
      if (url) resolve(url)
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    const fail = () => reject(new Error(`the Worker does not start: ${said}`))
    void ended.then(fail)
    setTimeout(fail, START_MS).unref()
  })
  try {
    return { url: await ready, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
