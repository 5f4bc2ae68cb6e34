// A deployment that cannot seal, and workload files that ask for what only a seal could give; and what is measured of it.
//
// Mutants that turn this red: `isPlainest` that leaves out any of them, or is asked of every deployment;
// a configuration that leaves out `unsealed`, or has it always.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseDeployment, utf8 } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadWorkloads, measuredConfiguration } from '../configuration.ts'

const DIGEST = 'ab'.repeat(32)
const WORKLOAD = {
  activations: 'safetensors',
  egress: [] as object[],
  endpoints: ['/v1/chat/completions'],
  env: [],
  image: DIGEST,
  memory_bytes: 16 * 1024 * 1024,
  models: ['m'],
  name: 'w',
  pids: 4,
  port: 8000,
  prefix_cache: 'off',
  seal_policy: 'request',
  version: 1,
}
const SEALING = { pause: { archive: 'p', image: DIGEST }, tpm: { chain: 'c', path: '/dev/tpmrm0' } }
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-configuration-'))
})
afterEach(() => rm(directory, { recursive: true }))

/** The deployment of one workload, and that workload as the embassy loads it. */
async function load(change: object, of: object = { unsealed: 'privileges' }) {
  const file = join(directory, 'workload.json')
  await writeFile(file, JSON.stringify({ ...WORKLOAD, ...change }))
  const deployment = parseDeployment(
    utf8(
      JSON.stringify({
        authorities: [],
        gateway: { host: '127.0.0.1', port: 0, tls: { mode: 'off' } },
        id: '0000',
        metering: 'required',
        ...of,
        probes: { interval_ms: 1000, targets: [] },
        runtime_dir: directory,
        state_dir: directory,
        version: 1,
        workloads: [{ archive: 'a', file, replicas: 1 }],
      }),
    ),
  )
  return { deployment, workloads: await loadWorkloads(deployment) }
}

const EPOCH = { seal_policy: 'epoch', epoch: { max_ms: 1000, sessions: 2 } }
const ASKING = {
  egress: { egress: [{ address: '192.0.2.1', port: 443, protocol: 'tcp' }] },
  'an epoch': EPOCH,
  'a link to the embassy': { protocol: 'cooperative' },
  'a command': { command: ['serve'] },
  'a GPU': { gpus: ['GPU-1'] },
  'a runtime': { runtime: 'runsc', pids: 128 },
  'shared memory': { shm_bytes: 1024 * 1024 },
  'a larger /tmp': { tmp_bytes: 1024 * 1024 },
  'a weights volume': { weights: [{ path: '/models', root_hash: 'ab'.repeat(32) }] },
}

test.each(Object.entries(ASKING))('%s is refused where nothing is sealed', async (_, change) => {
  await expect(load(change)).rejects.toThrow(/where nothing is sealed/)
  expect((await load(change, SEALING)).workloads).toHaveLength(1)
})

test('what is measured names weights volumes by their root hashes, where there are some', async () => {
  const [first, second] = ['ee'.repeat(32), '11'.repeat(32)]
  const weights = [
    { path: '/models', root_hash: first },
    { path: '/adapter', root_hash: second },
  ]
  const measured = async (change: object) => {
    const { deployment, workloads } = await load(change, SEALING)
    return measuredConfiguration(deployment, workloads).workloads[0]!
  }
  expect((await measured({ weights })).weights).toEqual([first, second])
  expect(await measured({})).not.toHaveProperty('weights')
})

test('what is measured says that it cannot seal, and only then', async () => {
  const measured = async (of: object) => {
    const { deployment, workloads } = await load({}, of)
    return measuredConfiguration(deployment, workloads).unsealed
  }
  expect(await measured({ unsealed: 'software' })).toBe('software')
  expect(await measured(SEALING)).toBeUndefined()
})
