// What of the configuration is measured: workloads by the digest of their files, authorities, metering, attribution.
import { readFile } from 'node:fs/promises'
import {
  type Configuration,
  type Deployment,
  parseWorkload,
  rootHashes,
  SealedError,
  sha256Hex,
  type Workload,
} from '@sealed/protocol'
import { ATTRIBUTION } from './registry/attribution.ts'
import type { MeasuredWorkload } from './session/admission.ts'

export interface LoadedWorkload extends MeasuredWorkload {
  /** Undefined where the image was pulled at the machine's launch. */
  archive: string | undefined
  replicas: number
}

/** Reads the workload files; refuses what this version cannot do rather than do something else. */
export async function loadWorkloads(deployment: Deployment): Promise<LoadedWorkload[]> {
  const loaded: LoadedWorkload[] = []
  for (const { archive, file, replicas } of deployment.workloads) {
    const bytes = await readFile(file).catch(() => {
      throw new SealedError('config.invalid', `workload file ${file} cannot be read`)
    })
    const config = parseWorkload(bytes)
    if (config.activations === 'none' && deployment.metering === 'required')
      throw new SealedError(
        'config.invalid',
        `${file}: activations none cannot be metered, and metering is required`,
      )
    if (deployment.unsealed && !isPlainest(config))
      throw new SealedError(
        'config.invalid',
        `${file}: where nothing is sealed there is no egress to open, no epoch to share, no link to take part over and no container to make: egress is empty, seal_policy request, protocol plain, and command, gpus, runtime, shm_bytes, tmp_bytes and weights are left out`,
      )
    if (loaded.some((other) => other.config.name === config.name))
      throw new SealedError('config.invalid', `two workloads are named ${config.name}`)
    loaded.push({ archive, replicas, config, digest: await sha256Hex(bytes) })
  }
  return loaded
}

/** Whether it asks for nothing that only a seal could give. */
const isPlainest = ({ egress, protocol, seal_policy, ...more }: Workload): boolean =>
  egress.length === 0 &&
  seal_policy === 'request' &&
  protocol !== 'cooperative' &&
  !(['command', 'gpus', 'runtime', 'shm_bytes', 'tmp_bytes', 'weights'] as const).some(
    (member) => more[member] !== undefined,
  )

export const measuredConfiguration = (
  deployment: Deployment,
  workloads: readonly LoadedWorkload[],
): Configuration => ({
  attribution: ATTRIBUTION,
  authorities: deployment.authorities.map(({ id, public_key }) => ({ id, public_key })),
  metering: deployment.metering,
  ...(deployment.unsealed && { unsealed: deployment.unsealed }),
  version: 1,
  workloads: workloads.map(({ config, digest }) => ({
    activations: config.activations,
    digest,
    egress: config.egress,
    image: config.image,
    models: config.models,
    name: config.name,
    prefix_cache: config.prefix_cache,
    seal_policy: config.seal_policy,
    ...(config.weights && { weights: rootHashes(config) }),
  })),
})
