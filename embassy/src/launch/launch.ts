// One launch: from the instance's attributes to the files that embassy and gateway start from, measured in between. It may
// be run again in the same boot and then does the same, or refuses.
import {
  type Base,
  canonicalBytes,
  type Launch,
  SealedError,
  sha256Hex,
  utf8,
} from '@sealed/protocol'
import type { Log } from '../log.ts'
import type { Tpm } from '../tpm/index.ts'
import { type FetchCertificate, issuersOf } from './ak-chain.ts'
import { type Attributes, parseAttributes } from './attributes.ts'
import { CHAIN_FILE, filesOf, workloadOf, writeFiles } from './files.ts'
import { type ImageStore, pullImage, takesToken, trustRegistry } from './images.ts'
import { limitingLabels, refuseExcess } from './labels.ts'
import { measureLaunch } from './measure.ts'
import type { Metadata } from './metadata.ts'

export interface LaunchDeps {
  base: Base
  metadata: Metadata
  images: ImageStore
  /** Opened only when there is something to measure. */
  openTpm: () => Promise<Pick<Tpm, 'ak' | 'close' | 'extend' | 'readPcrs'>>
  fetchCertificate: FetchCertificate
  /** Where the files go. */
  directory: string
  log: Log
}

export async function launch(deps: LaunchDeps): Promise<void> {
  const { base, directory, images, log, metadata } = deps
  const attributes = await parseAttributes(await metadata.attributes())
  log('attributes read', { names: attributes.read.map(({ name }) => name) })
  await prepareRegistry(base, attributes)
  const { operator, reference } = attributes
  const token = takesToken(reference, operator.registry) ? () => metadata.token() : undefined
  const image = await pullImage(images, reference, token, log)
  const labels = limitingLabels(image.labels)
  const workload = workloadOf(attributes, image.config)
  refuseExcess(labels, { workload, metering: operator.metering, replicas: operator.replicas })
  const files = filesOf(base, attributes, workload, directory)
  const record: Launch = {
    attributes: attributes.read,
    image: { config: image.config, reference },
    labels,
    version: 1,
    workload: await sha256Hex(files.get('workload.json')!),
  }
  const tpm = await deps.openTpm()
  const written = new Map([['launch.json', canonicalBytes(record)]])
  try {
    if (base.tpm.chain === undefined)
      written.set(CHAIN_FILE, utf8(await issuersOf(tpm.ak.certificate, deps.fetchCertificate)))
    await measureLaunch(tpm, record)
  } finally {
    await tpm.close()
  }
  log('launch measured', { workload: record.workload, image: image.config })
  await writeFiles(directory, new Map([...written, ...files]))
}

async function prepareRegistry(base: Base, { operator, reference }: Attributes): Promise<void> {
  const { registry, registry_ca } = operator
  if (registry === undefined) return
  if (!reference.startsWith(`${registry}/`))
    throw new SealedError(
      'config.invalid',
      `attribute sealed-deployment.registry is ${registry}, and sealed-image comes from another`,
    )
  if (registry_ca === undefined) return
  if (base.registry_certs === undefined)
    throw new SealedError(
      'config.invalid',
      'attribute sealed-deployment.registry_ca: this image has no place for it (registry_certs in base.json)',
    )
  await trustRegistry(base.registry_certs, registry, registry_ca)
}
