// How a machine came by its workload where its image carries none: the record of what the instance's attributes and the
// image's labels said. It is measured into PCR 13, then closed by a separator, before anything is started.
import * as v from 'valibot'
import type { Configuration } from './attestation.ts'
import { type Bytes, equal, sha256 } from './bytes.ts'
import { canonicalBytes } from './json.ts'
import { digest, name, text } from './schema.ts'

const HOST = '[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?'
const PART = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const REGISTRY = new RegExp(`^${HOST}(?::[1-9][0-9]{0,4})?$`)
const REFERENCE = new RegExp(
  `^(${HOST}(?::[1-9][0-9]{0,4})?)/(${PART}(?:/${PART})*)@sha256:([0-9a-f]{64})$`,
)
// Without one of these a container engine takes the first part for a folder of its default registry.
const isHost = (registry: string) => /[.:]|^localhost$/.test(registry)

/** A registry's host, with its port where it has one. */
export const registryHost = v.pipe(
  text(255),
  v.regex(REGISTRY, 'must be a host, or host:port, in lower case'),
  v.check(isHost, 'must hold a dot or a port, or be localhost'),
)

export const imageReference = v.pipe(
  text(512),
  v.regex(REFERENCE, 'must be REGISTRY/REPOSITORY@sha256:DIGEST, without a tag'),
  v.check((reference) => isHost(reference.split('/')[0]!), 'must begin with the registry’s host'),
)

/** The parts of an image reference that fits `imageReference`. */
export function splitReference(reference: string): {
  registry: string
  repository: string
  /** Manifest digest, hex. */
  manifest: string
} {
  const [, registry, repository, manifest] = REFERENCE.exec(reference)!
  return { registry: registry!, repository: repository!, manifest: manifest! }
}

export const launchSchema = v.strictObject({
  /** Each by the SHA-256 of its value: an environment, or the names of API keys, are nobody else's to read. */
  attributes: v.pipe(v.array(v.strictObject({ digest, name })), v.maxLength(16)),
  image: v.strictObject({
    /** Config digest, to which the manifest led. */
    config: digest,
    reference: imageReference,
  }),
  /** Those of the image by which its maker limits what an operator may ask for. */
  labels: v.pipe(v.array(v.strictObject({ name, value: text(4096) })), v.maxLength(16)),
  version: v.literal(1),
  /** SHA-256 of the workload file that was made of all this. */
  workload: digest,
})
export type Launch = v.InferOutput<typeof launchSchema>

/** PCR of the launch: extended by nothing on a machine whose workload was not chosen at its start. */
export const LAUNCH_PCR = 13

/** What the PCR is extended by, in order: the record's digest, and that of TCG's separator. */
export const launchMeasurements = async (record: Launch): Promise<[Bytes, Bytes]> => [
  await sha256(canonicalBytes(record)),
  await sha256(new Uint8Array(4)),
]

/** The PCR's value from before the first measurement to after the last. */
export async function launchValues(record: Launch): Promise<[Bytes, Bytes, Bytes]> {
  const [measured, separator] = await launchMeasurements(record)
  const begun = await sha256(new Uint8Array(32), measured)
  return [new Uint8Array(32), begun, await sha256(begun, separator)]
}

/** Whether this is the PCR's value after such a launch, or, without one, after none. */
export async function isLaunchValue(
  value: Uint8Array,
  record: Launch | undefined,
): Promise<boolean> {
  return equal(value, record ? (await launchValues(record))[2] : new Uint8Array(32))
}

/** Why a configuration is not what a launch led to; undefined where it is. */
export function launchMisfit(record: Launch, { workloads }: Configuration): string | undefined {
  const [workload, ...more] = workloads
  if (!workload || more.length > 0) return 'a launch is of one workload'
  if (workload.image !== record.image.config) return 'the launch was of another image'
  if (workload.digest !== record.workload) return 'the launch made another workload file'
  return undefined
}
