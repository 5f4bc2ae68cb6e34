// The service that opens weights volumes before the embassy starts, in the mount namespace that the engine sees: the
// embassy's own is seen by nobody else. A process of its own that ends; what it opens is named by files that were measured.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseDeployment, rootHashes, SealedError } from '@sealed/protocol'
import { loadWorkloads } from '../configuration.ts'
import { persist } from '../launch/persist.ts'
import { log } from '../log.ts'
import { Volumes } from './volumes.ts'
import { realWorld } from './world.ts'

/** A disk comes up within some seconds of its machine. */
const [ATTEMPTS, PAUSE_MS] = [20, 2_000]

try {
  const { values } = parseArgs({ options: { config: { type: 'string' } } })
  if (values.config === undefined)
    throw new SealedError('config.invalid', 'usage: --config sealed.json')
  const deployment = parseDeployment(await readFile(values.config))
  const wanted = (await loadWorkloads(deployment)).flatMap(({ config }) => rootHashes(config))
  const place = { id: deployment.id, directory: join(deployment.runtime_dir, 'weights') }
  await persist(() => new Volumes(realWorld, place, wanted).open(), ATTEMPTS, PAUSE_MS)
  log('weights volumes are mounted', { root_hashes: wanted })
} catch (error) {
  const known = error instanceof SealedError
  log('weights volumes are not mounted', {
    code: known ? error.code : 'internal.error',
    reason: known ? error.message : String((error as Error).stack),
  })
  process.exitCode = 1
}
