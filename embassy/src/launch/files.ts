// The files of a launched machine, as embassy and gateway read them: made of the image's own base and of what the operator
// asked for. Pure; written whole, the deployment last.
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Base,
  type Bytes,
  canonicalBytes,
  check,
  parseDeployment,
  type Workload,
  workloadSchema,
} from '@sealed/protocol'
import type { Attributes } from './attributes.ts'

/** The certificates above the attestation key's, where the base names no file with them. */
export const CHAIN_FILE = 'ak-chain.pem'

export type Files = ReadonlyMap<string, Bytes>

/** The workload file's contents; throws `config.invalid` naming the member of the attribute that is at fault. */
export const workloadOf = (
  { command, env, workload }: Attributes,
  /** Config digest. */
  image: string,
): Workload =>
  check(
    workloadSchema,
    { ...workload, ...(command && { command }), env, image },
    'attribute sealed-workload',
    'config.invalid',
  )

/** All files but the record, which goes beside them as `launch.json`. */
export function filesOf(
  base: Base,
  { operator }: Attributes,
  workload: Workload,
  directory: string,
): Files {
  const { registry_certs: _, tpm, ...machine } = base
  const { api_keys, gateway, registry: __, registry_ca: ___, replicas, ...decided } = operator
  const deployment = canonicalBytes({
    ...machine,
    ...decided,
    ...(api_keys && { api_keys: join(directory, 'keys.json') }),
    gateway: { ...machine.gateway, ...gateway },
    launch: join(directory, 'launch.json'),
    tpm: { ...tpm, chain: tpm.chain ?? join(directory, CHAIN_FILE) },
    workloads: [{ file: join(directory, 'workload.json'), replicas }],
  })
  parseDeployment(deployment)
  return new Map([
    ['workload.json', canonicalBytes(workload)],
    ...(api_keys ? [['keys.json', canonicalBytes({ keys: api_keys, version: 1 })] as const] : []),
    ['sealed.json', deployment],
  ])
}

/** In this order; each is there whole or not at all. The gateway reads them when it is root no more. */
export async function writeFiles(directory: string, files: Files): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 })
  for (const [name, bytes] of files) {
    await writeFile(join(directory, `${name}.part`), bytes, { mode: 0o644 })
    await rename(join(directory, `${name}.part`), join(directory, name))
  }
}
