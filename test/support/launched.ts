// Launches as a machine does at its start: the program itself, as a process of its own, with a base file and a metadata
// server of the test's.
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, type Launch, launchSchema, parseCanonical } from '@sealed/protocol'
import type { Sealing } from '../../scripts/instance/files.ts'
import { type Paths, REPOSITORY } from '../../scripts/instance/paths.ts'

/** What an operator writes of the noop workload. */
export const NOOP = {
  activations: 'safetensors',
  egress: [],
  endpoints: ['/v1/chat/completions'],
  memory_bytes: 512 * 1024 * 1024,
  models: ['noop'],
  name: 'noop',
  pids: 64,
  port: 8000,
  prefix_cache: 'off',
  seal_policy: 'request',
  version: 1,
}

export interface Ended {
  code: number
  /** Its log, a line each. */
  lines: Record<string, unknown>[]
}

/** Runs the program to its end. */
export async function runLaunch(base: string, out: string, metadataUrl: string): Promise<Ended> {
  const main = join(REPOSITORY, 'embassy/src/launch/main.ts')
  const args = [main, '--base', base, '--out', out, '--metadata-url', metadataUrl]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit) => resolve(exit ?? -1))
  })
  return {
    code,
    lines: text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  }
}

/** Writes the base of an instance of this clone; returns its path. */
export async function writeBase(
  paths: Paths,
  {
    pause,
    tpm,
  }: Pick<Sealing, 'pause'> & {
    tpm: { chainPath: string; eventLogPath: string; socketPath: string }
  },
  more: object = {},
): Promise<string> {
  const path = join(paths.state, 'base.json')
  const base = {
    gateway: { admin_port: 0, host: '127.0.0.1', port: 0, tls: { mode: 'off' } },
    id: paths.id,
    pause: { archive: pause.archive, image: pause.id },
    probes: { interval_ms: 60_000, targets: [] },
    runtime_dir: paths.runtime,
    state_dir: paths.database,
    tpm: { chain: tpm.chainPath, event_log: tpm.eventLogPath, path: tpm.socketPath },
    version: 1,
    ...more,
  }
  await writeFile(path, JSON.stringify(base))
  return path
}

/** `launch` of an instance: its files come from the program, and the policy accepts what it made. */
export const launchBy =
  (metadataUrl: string, more: object = {}) =>
  async (paths: Paths, beside: Sealing): Promise<void> => {
    const base = await writeBase(paths, beside, more)
    const { code, lines } = await runLaunch(base, paths.state, metadataUrl)
    if (code !== 0) throw new Error(`not launched: ${JSON.stringify(lines.at(-1))}`)
    const { workload } = await launchOf(paths)
    const policy = {
      ak_roots: [beside.tpm.rootSha256],
      authorities: [],
      evidence: ['tpm', 'event-log'],
      images: [beside.tpm.image],
      metering: 'required',
      name: 'launched',
      seal_policies: ['request'],
      version: 1,
      workloads: [workload],
    }
    await writeFile(paths.policy, JSON.stringify(policy))
  }

export async function launchOf(paths: Paths): Promise<Launch> {
  const bytes = await readFile(join(paths.state, 'launch.json'))
  return check(launchSchema, parseCanonical(bytes), 'launch.json')
}
