// A workload file with weights where no volume can be had: embassy and service end, say what is missing and what to do,
// and have touched nothing; there is nothing that they would start instead. Mutant tried: the look before
// the TPM left out.
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { NOOP } from './support/launched.ts'

const ROOT = '5ea1'.repeat(16)
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-no-weights-'))
  const workload = {
    ...NOOP,
    ...{ env: [], image: 'ab'.repeat(32), weights: [{ path: '/models', root_hash: ROOT }] },
  }
  await writeFile(join(directory, 'workload.json'), JSON.stringify(workload))
  const deployment = {
    authorities: [],
    gateway: { host: '127.0.0.1', port: 0, tls: { mode: 'off' } },
    id: '0e15',
    metering: 'required',
    pause: { archive: 'pause.tar', image: 'ab'.repeat(32) },
    probes: { interval_ms: 60_000, targets: [] },
    runtime_dir: join(directory, 'run'),
    state_dir: join(directory, 'state'),
    // Whoever gets that far fails for another reason.
    tpm: { chain: 'none', path: join(directory, 'no-tpm') },
    version: 1,
    workloads: [{ archive: 'a.tar', file: join(directory, 'workload.json'), replicas: 1 }],
  }
  await writeFile(join(directory, 'sealed.json'), JSON.stringify(deployment))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** Its last line, and how it ended. */
async function ended(program: string) {
  const main = join(REPOSITORY, 'embassy/src', program)
  const args = [main, '--config', join(directory, 'sealed.json')]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const exit = await new Promise((resolve) => child.once('close', resolve))
  return { exit, ...(JSON.parse(text.trim().split('\n').at(-1)!) as { reason: string }) }
}

test.each([
  ['the embassy', 'main.ts'],
  ['the service before it', 'weights/main.ts'],
])('%s says so, before it has made or measured anything', async (_, program) => {
  const { exit, reason } = await ended(program)
  expect(exit).toBe(1)
  // On a machine that has a device mapper, such a volume is on no disk.
  expect(reason).toMatch(
    new RegExp(`^weights volume ${ROOT}: (this machine has no device mapper|no disk .* holds it)`),
  )
  expect((await readdir(directory)).sort()).toEqual(['sealed.json', 'workload.json'])
})
