// A container engine of a test's own, beside the machine's: with runtimes that nobody else needs to have registered. It
// shares nothing with the other one but the kernel, and ends with whoever started it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Docker from 'dockerode'

const START_MS = 60_000

export interface OwnEngine {
  readonly socketPath: string
  readonly docker: Docker
  /** Stops it by its pid and removes all that it kept. */
  stop(): Promise<void>
}

/** As `workloads/README.md` tells an operator to register it. */
export const RUNSC = { path: 'runsc', runtimeArgs: ['--network=host', '--dcache=0'] }

export async function startEngine(runtimes: Record<string, object>): Promise<OwnEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-engine-'))
  const at = (name: string) => join(directory, name)
  await writeFile(at('daemon.json'), JSON.stringify({ runtimes }))
  const log = openSync(at('log'), 'w')
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'TERM', 'dockerd', '--config-file', at('daemon.json')],
      ...['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')],
      ...['--host', `unix://${at('sock')}`, '--bridge=none', '--iptables=false'],
      '--ip6tables=false',
    ],
    { stdio: ['ignore', log, log] },
  )
  closeSync(log)
  const ended = once(child, 'exit')
  const docker = new Docker({ socketPath: at('sock') })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
    await rm(directory, { recursive: true })
  }
  const end = performance.now() + START_MS
  while (!(await docker.ping().catch(() => undefined))) {
    if (child.exitCode !== null || performance.now() > end) {
      const tail = readFileSync(at('log'), 'utf8').split('\n').slice(-12).join('\n')
      await stop()
      throw new Error(`a second container engine does not start. The end of its log:\n${tail}`)
    }
    await delay(50)
  }
  return { socketPath: at('sock'), docker, stop }
}
